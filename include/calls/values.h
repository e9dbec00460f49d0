// Values of attributes that travel along with the objects that a call names or finds, so that reading them afterwards costs
// no message of its own.
//
//   Request::wanted   types, one after another
//   Reply::values     for each object its handle and a bin of (type, value) pairs; a CK_ULONG is an integer, all else a bin
//
// What may come along is not secret, not an array and not long. Whatever is missing is asked for as ever.
#pragma once

#include "pkcs11/attributes.h"
#include "wire/message.h"

namespace p11shim {

namespace limits {
inline constexpr std::size_t kMaxWanted = 32;        // types
inline constexpr std::size_t kMaxObjectsAlong = 64;  // objects whose values come along
inline constexpr std::size_t kMaxValueAlong = 4096;  // bytes of one value
inline constexpr std::size_t kMaxValuesAlong = std::size_t{64}
                                               << 10;  // bytes of all; the one that reaches it is the last
}  // namespace limits

// CKA_VALUE is a certificate's content or a key itself: it comes along with certificates only.
constexpr bool may_come_along(CK_ATTRIBUTE_TYPE type) {
  if (type == CKA_VALUE) return true;
  if (is_secret_attribute(type)) return false;
  // These change by themselves, or by the key's use.
  if (type == CKA_KEYS_REMAINING || type == CKA_OTP_TIME) return false;
  if (type >= CKA_X2RATCHET_BAG && type <= CKA_X2RATCHET_RK) return false;
  switch (attribute_kind(type)) {
    case AttributeKind::attribute_template:
    case AttributeKind::mechanism_list:
    case AttributeKind::ulong_array: return false;
    default: return true;
  }
}

inline void write_value(Out& out, CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> value) {
  out.uint(type);
  CK_ULONG number = 0;
  if (attribute_kind(type) != AttributeKind::ulong || value.size() != sizeof number) return out.bin(value);
  std::memcpy(&number, value.data(), sizeof number);
  out.uint(number);
}

// `number` is where a CK_ULONG is put.
inline bool read_value(In& in, CK_ATTRIBUTE_TYPE& type, CK_ULONG& number, std::span<const std::uint8_t>& value) {
  type = in.uint();
  if (!in.next_is_uint()) {
    value = in.bin(limits::kMaxValueAlong);
    return in.ok();
  }
  number = in.uint();
  value = {reinterpret_cast<const std::uint8_t*>(&number), sizeof number};
  return in.ok();
}

}  // namespace p11shim
