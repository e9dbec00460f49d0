// What kinds of calls there are, as far as they can become one message with others or be answered here: all of it follows from
// the table of calls.
#pragma once

#include <tuple>

#include "calls/stub.h"

namespace p11shim {

// C_…Init of an operation that may wait.
template <class Call>
inline constexpr bool kMayWait = Call::policy.effect == Effect::starts &&
                                 (Call::policy.operation & kLedOperations) == Call::policy.operation;

// A call that goes on with one such operation, or ends it.
template <class Call>
inline constexpr bool kTakesInit =
    (Call::policy.effect == Effect::continues || Call::policy.effect == Effect::ends) &&
    (Call::policy.operation & kLedOperations) == Call::policy.operation&& Call::policy.objects == Objects::none &&
    (static_cast<unsigned>(Call::policy.operation) & (static_cast<unsigned>(Call::policy.operation) - 1)) == 0;

// Its second argument is an object that it changes or destroys.
template <class Call>
inline constexpr bool kChangesObject =
    Call::policy.objects == Objects::destroys || Call::policy.objects == Objects::changes;

// What Inits depend on may change by it: logins, objects, the token.
template <class Call>
inline constexpr bool kUnsettlesInits = Call::policy.audit == AuditClass::auth || kChangesObject<Call> ||
                                        Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_InitToken>() ||
                                        Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_InitPIN>() ||
                                        Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SetPIN>();

// A part of an operation's input, with no output.
template <class Call>
inline constexpr bool kIsPart = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_DigestUpdate>() ||
                                Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SignUpdate>() ||
                                Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_VerifyUpdate>();

// Calls that may be answered here.
template <class Call>
inline constexpr bool kReadsAttributes = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetAttributeValue>();
template <class Call>
inline constexpr bool kReadsSessionInfo = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSessionInfo>();
template <class Call>
inline constexpr bool kReadsMechanismInfo = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismInfo>();

template <class Call>
inline constexpr bool kReadsMechanismList = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetMechanismList>();
template <class Call>
inline constexpr bool kReadsSlotList = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSlotList>();
template <class Call>
inline constexpr bool kReadsSlotInfo = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSlotInfo>();
template <class Call>
inline constexpr bool kReadsTokenInfo = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetTokenInfo>();

template <class Call>
inline constexpr bool kOpensSession = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>();
// Its answer depends on how many sessions there are.
template <class Call>
inline constexpr bool kCountsSessions = kUnsettlesInits<Call> ||
                                        Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetTokenInfo>();

template <class Call>
inline constexpr bool kClosesSession = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>();
template <class Call>
inline constexpr bool kClosesAll = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_CloseAllSessions>();

// A search that is active makes no difference to it, in any module.
template <class Call>
inline constexpr bool kIgnoresSearch = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetAttributeValue>() ||
                                       Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetObjectSize>() ||
                                       Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GenerateRandom>();

// Neither sees nor changes anything of a session's operations.
template <class Call>
inline constexpr bool kIsIndifferent = Call::policy.slot ||
                                       Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSlotList>() ||
                                       Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSessionInfo>();

// Where the length of the result follows from the length of the input. When decrypting, a module may look at the contents.
inline constexpr Operation kSizedByInput = Operation::encrypt | Operation::digest | Operation::sign;

// The C parameters of a single-part call that returns bytes: session, input, its length, output, its length.
template <class Call>
inline constexpr bool kAnswersLengthQuery = false;
template <std::uint32_t Number, CallName Text, auto Member, Policy PolicyValue>
inline constexpr bool
    kAnswersLengthQuery<p11shim::Call<Number, Text, Member, PolicyValue, Session, InBytes, OutBytes>> =
        PolicyValue.effect == Effect::ends && (PolicyValue.operation & kSizedByInput) == PolicyValue.operation;

// The result of an operation in parts, whose length follows from its mechanism and key alone.
template <class Call>
inline constexpr bool kAnswersFinalLength = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_DigestFinal>() ||
                                            Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SignFinal>();

// A whole message of the message functions.
template <class Call>
inline constexpr bool kIsMessage = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_EncryptMessage>() ||
                                   Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_DecryptMessage>() ||
                                   Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SignMessage>() ||
                                   Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_VerifyMessage>();
template <class Call>
inline constexpr bool kAnswersMessageLength = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_EncryptMessage>() ||
                                              Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_SignMessage>();
// Its length query may be answered here.
template <class Call>
inline constexpr bool kAnswersLength =
    kAnswersLengthQuery<Call> || kAnswersFinalLength<Call> || kAnswersMessageLength<Call>;
template <class Call>
inline constexpr bool kUsesMessages = (Call::policy.operation & kMessageOperations) == Call::policy.operation;

template <class Call, class... C>
bool asks_for_length(C... arguments) {
  if constexpr (sizeof...(C) < 2) {
    return false;
  } else {
    using Place = std::tuple_element_t<sizeof...(C) - 2, std::tuple<C...>>;
    using Size = std::tuple_element_t<sizeof...(C) - 1, std::tuple<C...>>;
    if constexpr (std::is_same_v<Place, CK_BYTE_PTR> && std::is_same_v<Size, CK_ULONG_PTR>)
      return std::get<sizeof...(C) - 2>(std::tuple(arguments...)) == nullptr;
    else return false;
  }
}

}  // namespace p11shim
