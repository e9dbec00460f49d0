// The one table of PKCS#11: every function of 2.40 and 3.0 with its number on the wire, its policy and its arguments.
// The shim's stubs, the worker's handlers, proxyd's dispatch, names, audit classes and fuzz seeds derive from it.
// Adding a function means adding a line here. Numbers are part of the protocol and are never reused.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "calls/bytes.h"
#include "calls/infos.h"
#include "calls/lists.h"
#include "calls/local.h"
#include "calls/mechanism.h"
#include "calls/policy.h"
#include "calls/scalars.h"
#include "calls/templates.h"

namespace p11shim {

template <std::size_t N>
struct CallName {
  char text[N];
  constexpr CallName(const char (&literal)[N]) { std::copy(literal, literal + N, text); }
};

template <class Member>
struct PrototypeOf;
template <class List, class... C>
struct PrototypeOf<CK_RV (*List::*)(C...)> {
  using type = Types<C...>;
};

template <std::uint32_t Number, CallName Text, auto MemberPointer, Policy PolicyValue, class... ArgumentKinds>
struct Call {
  static constexpr std::uint32_t number = Number;
  static constexpr std::string_view name{Text.text};
  static constexpr auto member = MemberPointer;  // in CK_FUNCTION_LIST_3_0
  static constexpr Policy policy = PolicyValue;
  using Arguments = Types<ArgumentKinds...>;
  using C = Concat<typename ArgumentKinds::C...>;
  static_assert(std::is_same_v<C, typename PrototypeOf<decltype(MemberPointer)>::type>,
                "the arguments must give exactly the prototype in pkcs11f.h");
};

// How each class of functions behaves; a call names one of these and what differs.
namespace policies {
using enum Where;
using enum Effect;
using O = Operation;
constexpr Policy kLocal{.where = shim};
constexpr Policy kInfo{.where = proxyd, .retry = Retry::always, .audit = AuditClass::read, .slot = true};
constexpr Policy kSlotRead{.retry = Retry::always, .audit = AuditClass::read, .slot = true};
constexpr Policy kSlotAdmin{.where = proxyd, .audit = AuditClass::admin, .slot = true, .slow = true};
constexpr Policy kAdmin{.where = proxyd, .audit = AuditClass::admin, .slow = true};
constexpr Policy kSlotSession{.where = proxyd, .audit = AuditClass::read, .slot = true};
constexpr Policy kSession{.where = proxyd, .audit = AuditClass::read};
constexpr Policy kAuth{.where = proxyd, .audit = AuditClass::auth};
constexpr Policy kRead{.objects = Objects::uses, .retry = Retry::always, .audit = AuditClass::read};
constexpr Policy kRandom{.retry = Retry::always, .audit = AuditClass::use};
constexpr Policy kCreate{.objects = Objects::creates, .audit = AuditClass::admin};
constexpr Policy kGenerate{.objects = Objects::creates, .audit = AuditClass::admin, .slow = true};
constexpr Policy start(O o) {
  return {.effect = starts, .operation = o, .objects = Objects::uses, .retry = Retry::always, .audit = AuditClass::use};
}
constexpr Policy proceed(O o) {
  return {.effect = continues, .operation = o, .retry = Retry::always, .audit = AuditClass::use};
}
constexpr Policy finish(O o) {
  return {.effect = ends, .operation = o, .retry = Retry::always, .audit = AuditClass::use};
}
constexpr Policy proceed_with_key(O o) {
  return {.effect = continues, .operation = o, .objects = Objects::uses, .audit = AuditClass::use};
}
}  // namespace policies

#define P11_CALL(number, name) number, #name, &CK_FUNCTION_LIST_3_0::name
using Calls = Types<
    Call<P11_CALL(1, C_Initialize), policies::kLocal, Local<CK_VOID_PTR>>,
    Call<P11_CALL(2, C_Finalize), policies::kLocal, Local<CK_VOID_PTR>>,
    Call<P11_CALL(3, C_GetInfo), policies::kLocal, Local<CK_INFO*>>,
    Call<P11_CALL(4, C_GetFunctionList), policies::kLocal, Local<CK_FUNCTION_LIST_PTR_PTR>>,
    Call<P11_CALL(5, C_GetSlotList), Policy{.where = Where::proxyd, .retry = Retry::always, .audit = AuditClass::read},
         Bool, OutList>,
    Call<P11_CALL(6, C_GetSlotInfo), policies::kInfo, Slot, OutInfo<CK_SLOT_INFO>>,
    Call<P11_CALL(7, C_GetTokenInfo), policies::kInfo, Slot, OutInfo<CK_TOKEN_INFO>>,
    Call<P11_CALL(8, C_GetMechanismList), policies::kSlotRead, Slot, OutList>,
    Call<P11_CALL(9, C_GetMechanismInfo), policies::kSlotRead, Slot, Ulong, OutInfo<CK_MECHANISM_INFO>>,
    Call<P11_CALL(10, C_InitToken), policies::kSlotAdmin, Slot, Pin, Label>,
    Call<P11_CALL(11, C_InitPIN), policies::kAdmin, Session, Pin>,
    Call<P11_CALL(12, C_SetPIN), policies::kAdmin, Session, Pin, Pin>,
    Call<P11_CALL(13, C_OpenSession), policies::kSlotSession, Slot, Ulong, Callback, OutHandle>,
    Call<P11_CALL(14, C_CloseSession), policies::kSession, Session>,
    Call<P11_CALL(15, C_CloseAllSessions), policies::kSlotSession, Slot>,
    Call<P11_CALL(16, C_GetSessionInfo), policies::kSession, Session, OutInfo<CK_SESSION_INFO>>,
    Call<P11_CALL(17, C_GetOperationState), Policy{.audit = AuditClass::use}, Session, OutBytes>,
    Call<P11_CALL(18, C_SetOperationState), Policy{.objects = Objects::uses, .audit = AuditClass::use}, Session,
         InBytes, Object, Object>,
    Call<P11_CALL(19, C_Login), policies::kAuth, Session, Ulong, Pin>,
    Call<P11_CALL(20, C_Logout), policies::kAuth, Session>,
    Call<P11_CALL(21, C_CreateObject), policies::kCreate, Session, InTemplate, OutHandle>,
    Call<P11_CALL(22, C_CopyObject), Policy{.objects = Objects::creates, .audit = AuditClass::admin}, Session, Object,
         InTemplate, OutHandle>,
    Call<P11_CALL(23, C_DestroyObject), Policy{.objects = Objects::destroys, .audit = AuditClass::admin}, Session,
         Object>,
    Call<P11_CALL(24, C_GetObjectSize), policies::kRead, Session, Object, OutUlong>,
    Call<P11_CALL(25, C_GetAttributeValue), policies::kRead, Session, Object, QueryTemplate>,
    Call<P11_CALL(26, C_SetAttributeValue), Policy{.objects = Objects::changes, .audit = AuditClass::admin}, Session,
         Object, InTemplate>,
    Call<P11_CALL(27, C_FindObjectsInit),
         Policy{.effect = Effect::starts,
                .operation = Operation::find,
                .objects = Objects::lists,
                .retry = Retry::always,
                .audit = AuditClass::read},
         Session, InTemplate>,
    Call<P11_CALL(28, C_FindObjects),
         Policy{.where = Where::proxyd,
                .effect = Effect::continues,
                .operation = Operation::find,
                .audit = AuditClass::read},
         Session, FoundObjects>,
    Call<P11_CALL(29, C_FindObjectsFinal),
         Policy{
             .effect = Effect::ends, .operation = Operation::find, .retry = Retry::always, .audit = AuditClass::read},
         Session>,
    Call<P11_CALL(30, C_EncryptInit), policies::start(Operation::encrypt), Session, Mechanism, Object>,
    Call<P11_CALL(31, C_Encrypt), policies::finish(Operation::encrypt), Session, InBytes, OutBytes>,
    Call<P11_CALL(32, C_EncryptUpdate), policies::proceed(Operation::encrypt), Session, InBytes, OutBytes>,
    Call<P11_CALL(33, C_EncryptFinal), policies::finish(Operation::encrypt), Session, OutBytes>,
    Call<P11_CALL(34, C_DecryptInit), policies::start(Operation::decrypt), Session, Mechanism, Object>,
    Call<P11_CALL(35, C_Decrypt), policies::finish(Operation::decrypt), Session, InBytes, OutBytes>,
    Call<P11_CALL(36, C_DecryptUpdate), policies::proceed(Operation::decrypt), Session, InBytes, OutBytes>,
    Call<P11_CALL(37, C_DecryptFinal), policies::finish(Operation::decrypt), Session, OutBytes>,
    Call<P11_CALL(38, C_DigestInit), policies::start(Operation::digest), Session, Mechanism>,
    Call<P11_CALL(39, C_Digest), policies::finish(Operation::digest), Session, InBytes, OutBytes>,
    Call<P11_CALL(40, C_DigestUpdate), policies::proceed(Operation::digest), Session, InBytes>,
    Call<P11_CALL(41, C_DigestKey), policies::proceed_with_key(Operation::digest), Session, Object>,
    Call<P11_CALL(42, C_DigestFinal), policies::finish(Operation::digest), Session, OutBytes>,
    Call<P11_CALL(43, C_SignInit), policies::start(Operation::sign), Session, Mechanism, Object>,
    Call<P11_CALL(44, C_Sign), policies::finish(Operation::sign), Session, InBytes, OutBytes>,
    Call<P11_CALL(45, C_SignUpdate), policies::proceed(Operation::sign), Session, InBytes>,
    Call<P11_CALL(46, C_SignFinal), policies::finish(Operation::sign), Session, OutBytes>,
    Call<P11_CALL(47, C_SignRecoverInit), policies::start(Operation::sign_recover), Session, Mechanism, Object>,
    Call<P11_CALL(48, C_SignRecover), policies::finish(Operation::sign_recover), Session, InBytes, OutBytes>,
    Call<P11_CALL(49, C_VerifyInit), policies::start(Operation::verify), Session, Mechanism, Object>,
    Call<P11_CALL(50, C_Verify), policies::finish(Operation::verify), Session, InBytes, InBytes>,
    Call<P11_CALL(51, C_VerifyUpdate), policies::proceed(Operation::verify), Session, InBytes>,
    Call<P11_CALL(52, C_VerifyFinal), policies::finish(Operation::verify), Session, InBytes>,
    Call<P11_CALL(53, C_VerifyRecoverInit), policies::start(Operation::verify_recover), Session, Mechanism, Object>,
    Call<P11_CALL(54, C_VerifyRecover), policies::finish(Operation::verify_recover), Session, InBytes, OutBytes>,
    Call<P11_CALL(55, C_DigestEncryptUpdate), policies::proceed(Operation::digest | Operation::encrypt), Session,
         InBytes, OutBytes>,
    Call<P11_CALL(56, C_DecryptDigestUpdate), policies::proceed(Operation::decrypt | Operation::digest), Session,
         InBytes, OutBytes>,
    Call<P11_CALL(57, C_SignEncryptUpdate), policies::proceed(Operation::sign | Operation::encrypt), Session, InBytes,
         OutBytes>,
    Call<P11_CALL(58, C_DecryptVerifyUpdate), policies::proceed(Operation::decrypt | Operation::verify), Session,
         InBytes, OutBytes>,
    Call<P11_CALL(59, C_GenerateKey), policies::kGenerate, Session, Mechanism, InTemplate, OutHandle>,
    Call<P11_CALL(60, C_GenerateKeyPair), policies::kGenerate, Session, Mechanism, InTemplate, InTemplate, OutHandle,
         OutHandle>,
    Call<P11_CALL(61, C_WrapKey), Policy{.objects = Objects::uses, .retry = Retry::always, .audit = AuditClass::use},
         Session, Mechanism, Object, Object, OutBytes>,
    Call<P11_CALL(62, C_UnwrapKey), policies::kCreate, Session, Mechanism, Object, InBytes, InTemplate, OutHandle>,
    Call<P11_CALL(63, C_DeriveKey), policies::kCreate, Session, Mechanism, Object, InTemplate, OutHandle>,
    Call<P11_CALL(64, C_SeedRandom), Policy{.audit = AuditClass::use}, Session, InBytes>,
    Call<P11_CALL(65, C_GenerateRandom), policies::kRandom, Session, FillBytes>,
    Call<P11_CALL(66, C_GetFunctionStatus), Policy{.audit = AuditClass::read}, Session>,
    Call<P11_CALL(67, C_CancelFunction), Policy{.audit = AuditClass::read}, Session>,
    Call<P11_CALL(68, C_WaitForSlotEvent), policies::kLocal, Local<CK_FLAGS, CK_SLOT_ID_PTR, CK_VOID_PTR>>,
    Call<P11_CALL(69, C_GetInterfaceList), policies::kLocal, Local<CK_INTERFACE_PTR, CK_ULONG_PTR>>,
    Call<P11_CALL(70, C_GetInterface), policies::kLocal,
         Local<CK_UTF8CHAR_PTR, CK_VERSION_PTR, CK_INTERFACE_PTR_PTR, CK_FLAGS>>,
    Call<P11_CALL(71, C_LoginUser), policies::kAuth, Session, Ulong, Pin, Pin>,
    Call<P11_CALL(72, C_SessionCancel),
         Policy{.effect = Effect::ends, .operation = Operation::any, .audit = AuditClass::use}, Session, Ulong>,
    Call<P11_CALL(73, C_MessageEncryptInit), policies::start(Operation::message_encrypt), Session, Mechanism, Object>,
    Call<P11_CALL(74, C_EncryptMessage), policies::proceed(Operation::message_encrypt), Session, MessageParam, InBytes,
         InBytes, OutBytes>,
    Call<P11_CALL(75, C_EncryptMessageBegin), policies::proceed(Operation::message_encrypt), Session, MessageParam,
         InBytes>,
    Call<P11_CALL(76, C_EncryptMessageNext), policies::proceed(Operation::message_encrypt), Session, MessageParam,
         InBytes, OutBytes, Ulong>,
    Call<P11_CALL(77, C_MessageEncryptFinal), policies::finish(Operation::message_encrypt), Session>,
    Call<P11_CALL(78, C_MessageDecryptInit), policies::start(Operation::message_decrypt), Session, Mechanism, Object>,
    Call<P11_CALL(79, C_DecryptMessage), policies::proceed(Operation::message_decrypt), Session, MessageParam, InBytes,
         InBytes, OutBytes>,
    Call<P11_CALL(80, C_DecryptMessageBegin), policies::proceed(Operation::message_decrypt), Session, MessageParam,
         InBytes>,
    Call<P11_CALL(81, C_DecryptMessageNext), policies::proceed(Operation::message_decrypt), Session, MessageParam,
         InBytes, OutBytes, Ulong>,
    Call<P11_CALL(82, C_MessageDecryptFinal), policies::finish(Operation::message_decrypt), Session>,
    Call<P11_CALL(83, C_MessageSignInit), policies::start(Operation::message_sign), Session, Mechanism, Object>,
    Call<P11_CALL(84, C_SignMessage), policies::proceed(Operation::message_sign), Session, MessageParam, InBytes,
         OutBytes>,
    Call<P11_CALL(85, C_SignMessageBegin), policies::proceed(Operation::message_sign), Session, MessageParam>,
    Call<P11_CALL(86, C_SignMessageNext), policies::proceed(Operation::message_sign), Session, MessageParam, InBytes,
         OutBytesOptional>,
    Call<P11_CALL(87, C_MessageSignFinal), policies::finish(Operation::message_sign), Session>,
    Call<P11_CALL(88, C_MessageVerifyInit), policies::start(Operation::message_verify), Session, Mechanism, Object>,
    Call<P11_CALL(89, C_VerifyMessage), policies::proceed(Operation::message_verify), Session, MessageParam, InBytes,
         InBytes>,
    Call<P11_CALL(90, C_VerifyMessageBegin), policies::proceed(Operation::message_verify), Session, MessageParam>,
    Call<P11_CALL(91, C_VerifyMessageNext), policies::proceed(Operation::message_verify), Session, MessageParam,
         InBytes, InBytes>,
    Call<P11_CALL(92, C_MessageVerifyFinal), policies::finish(Operation::message_verify), Session>>;
#undef P11_CALL

inline constexpr std::uint32_t kFirst30Call = 69;  // from here on: functions that only 3.0 has
inline constexpr std::uint32_t kCallCount = 93;    // numbers are below it

// Calls fn.template operator()<Call>() for every call of the table.
template <class Fn, class... C>
constexpr void for_each_call(Fn&& fn, Types<C...>) {
  (fn.template operator()<C>(), ...);
}
template <class Fn>
constexpr void for_each_call(Fn&& fn) {
  for_each_call(fn, Calls{});
}

// The number of a call, known at compile time by its member of the function list.
template <auto Member>
constexpr std::uint32_t number_of() {
  std::uint32_t found = 0;
  for_each_call([&]<class C>() {
    if constexpr (std::is_same_v<std::remove_const_t<decltype(C::member)>, decltype(Member)>)
      if (C::member == Member) found = C::number;
  });
  return found;
}

// What proxyd needs by number, without the types.
struct CallInfo {
  std::string_view name;  // empty: no such call
  Policy policy;
};
inline constexpr std::array<CallInfo, kCallCount> kCallInfos = [] {
  std::array<CallInfo, kCallCount> infos{};
  for_each_call([&]<class C>() { infos[C::number] = {C::name, C::policy}; });
  return infos;
}();
constexpr const CallInfo* call_info(std::uint32_t number) {
  return number < kCallCount && !kCallInfos[number].name.empty() ? &kCallInfos[number] : nullptr;
}

// Both ends of a connection must have been built from the same table: FNV-1a over numbers, names and argument kinds.
constexpr std::uint64_t kTableFingerprint = [] {
  std::uint64_t hash = 14695981039346656037ull;
  const auto mix = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211ull;
    hash = hash * 1099511628211ull;  // as if a zero byte ended each text
  };
  for_each_call([&]<class C>() {
    const char number[] = {static_cast<char>(C::number), static_cast<char>(C::number >> 8)};
    mix({number, sizeof number});
    mix(C::name);
    [&]<class... Kind>(Types<Kind...>) { (mix(Kind::name), ...); }(typename C::Arguments{});
  });
  return hash;
}();

}  // namespace p11shim
