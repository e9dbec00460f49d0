// The CK_…_INFO structs as output arguments. Each struct is described once, as the list of its fields.
#pragma once

#include <algorithm>
#include <type_traits>

#include "calls/argument.h"

namespace p11shim {

template <class Info>
struct InfoFields;
template <>
struct InfoFields<CK_INFO> {
  static constexpr std::string_view name{"CK_INFO"};
  static constexpr auto list = std::tuple{&CK_INFO::cryptokiVersion, &CK_INFO::manufacturerID, &CK_INFO::flags,
                                          &CK_INFO::libraryDescription, &CK_INFO::libraryVersion};
};
template <>
struct InfoFields<CK_SLOT_INFO> {
  static constexpr std::string_view name{"CK_SLOT_INFO"};
  static constexpr auto list =
      std::tuple{&CK_SLOT_INFO::slotDescription, &CK_SLOT_INFO::manufacturerID, &CK_SLOT_INFO::flags,
                 &CK_SLOT_INFO::hardwareVersion, &CK_SLOT_INFO::firmwareVersion};
};
template <>
struct InfoFields<CK_TOKEN_INFO> {
  static constexpr std::string_view name{"CK_TOKEN_INFO"};
  using T = CK_TOKEN_INFO;
  static constexpr auto list = std::tuple{&T::label,
                                          &T::manufacturerID,
                                          &T::model,
                                          &T::serialNumber,
                                          &T::flags,
                                          &T::ulMaxSessionCount,
                                          &T::ulSessionCount,
                                          &T::ulMaxRwSessionCount,
                                          &T::ulRwSessionCount,
                                          &T::ulMaxPinLen,
                                          &T::ulMinPinLen,
                                          &T::ulTotalPublicMemory,
                                          &T::ulFreePublicMemory,
                                          &T::ulTotalPrivateMemory,
                                          &T::ulFreePrivateMemory,
                                          &T::hardwareVersion,
                                          &T::firmwareVersion,
                                          &T::utcTime};
};
template <>
struct InfoFields<CK_MECHANISM_INFO> {
  static constexpr std::string_view name{"CK_MECHANISM_INFO"};
  static constexpr auto list =
      std::tuple{&CK_MECHANISM_INFO::ulMinKeySize, &CK_MECHANISM_INFO::ulMaxKeySize, &CK_MECHANISM_INFO::flags};
};
template <>
struct InfoFields<CK_SESSION_INFO> {
  static constexpr std::string_view name{"CK_SESSION_INFO"};
  static constexpr auto list = std::tuple{&CK_SESSION_INFO::slotID, &CK_SESSION_INFO::state, &CK_SESSION_INFO::flags,
                                          &CK_SESSION_INFO::ulDeviceError};
};

inline void write_field(Out& out, CK_ULONG number) { out.uint(number); }
inline void write_field(Out& out, const CK_VERSION& version) {
  out.uint(static_cast<std::uint64_t>(version.major) << 8 | version.minor);
}
template <std::size_t N>
void write_field(Out& out, const CK_UTF8CHAR (&text)[N]) {
  out.bin(text, N);
}

inline void read_field(In& in, CK_ULONG& number) { number = in.uint(); }
inline void read_field(In& in, CK_VERSION& version) {
  const auto both = in.uint_max(0xffff);
  version = {static_cast<CK_BYTE>(both >> 8), static_cast<CK_BYTE>(both)};
}
template <std::size_t N>
void read_field(In& in, CK_UTF8CHAR (&text)[N]) {
  const auto bytes = in.bin(N);
  if (bytes.size() != N) return in.fail();
  std::copy(bytes.begin(), bytes.end(), text);
}

template <class Info>
void write_info(Out& out, const Info& info) {
  std::apply([&](auto... field) { (write_field(out, info.*field), ...); }, InfoFields<Info>::list);
}
template <class Info>
void read_info(In& in, Info& info) {
  std::apply([&](auto... field) { (read_field(in, info.*field), ...); }, InfoFields<Info>::list);
}

template <class Info>
struct OutInfo {
  static constexpr std::string_view name = InfoFields<Info>::name;
  using C = Types<Info*>;
  struct Value {
    Info info;
  };
  static CK_RV check(Info* info) { return info == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK; }
  static void put_request(RequestWriter&, Info*) {}
  static void take_request(RequestReader&, Value& value) { value.info = {}; }
  static std::tuple<Info*> c(Value& value) { return {&value.info}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv == CKR_OK) write_info(to.body, value.info);
  }
  static void take_reply(ReplyReader& from, Info* place) {
    if (from.rv != CKR_OK) return;
    Info info{};
    read_info(from.body, info);
    if (from.body.ok()) *place = info;
  }
};

}  // namespace p11shim
