// Names of PKCS#11 numbers and back, from one list (*.def): for logs, audit records, configuration and
// command lines. Numbers come from cryptoki.h, so a name cannot have a value that the compiler does not know.
// Tables are constant, ascending by (kind, value) and checked at compile time; only display() allocates.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pkcs11/cryptoki.h"

namespace p11shim {

// A name space of the standard. Where one prefix serves several of them, a suffix tells which.
enum class NameKind : std::uint8_t {
  ckr,
  ckm,
  cka,
  cko,
  ckk,
  ckc,
  ckh,  // hardware features
  ckh_hedge,
  ckp,      // profiles
  ckp_prf,  // PBKDF2
  ckp_ml_dsa,
  ckp_slh_dsa,
  ckp_ml_kem,
  cku,
  cks,
  ckn,
  ckt,
  ckv_type,
  ckv_authority,
  ckg,            // mask generation functions
  ckg_generator,  // of IVs and nonces
  ckd,
  ckz,       // OAEP
  ckz_salt,  // PBKDF2
  ckf_slot,  // from here on: bits, not values
  ckf_token,
  ckf_session,
  ckf_mechanism,
  ckf_initialize,
  ckf_interface,
  ckf_wait,
  ckf_message,
  ckf_hkdf_salt,
  ckf_otp,
};

constexpr bool is_flags(NameKind kind) { return kind >= NameKind::ckf_slot; }

struct Name {
  NameKind kind;
  CK_ULONG value;
  std::string_view text;
};

#define ALIAS(kind, name)
#define NAME(kind, name) {NameKind::kind, name, #name},
#define ATTRIBUTE(name, kind, trait) {NameKind::cka, name, #name},
// The lists in the order of NameKind.
// clang-format off
inline constexpr Name kNames[] = {
#include "pkcs11/ckr.def"
#include "pkcs11/ckm.def"
#include "pkcs11/attributes.def"
#include "pkcs11/names.def"
};
// clang-format on
#undef ALIAS
#undef NAME
#undef ATTRIBUTE

#define ALIAS(kind, name) {NameKind::kind, name, #name},
#define NAME(kind, name)
#define ATTRIBUTE(name, kind, trait)
inline constexpr Name kAliases[] = {
#include "pkcs11/attributes.def"
#include "pkcs11/ckm.def"
#include "pkcs11/names.def"
};
#undef ALIAS
#undef NAME
#undef ATTRIBUTE

constexpr bool precedes(const Name& a, const Name& b) { return a.kind != b.kind ? a.kind < b.kind : a.value < b.value; }
static_assert(std::adjacent_find(std::begin(kNames), std::end(kNames),
                                 [](const Name& a, const Name& b) { return !precedes(a, b); }) == std::end(kNames),
              "the lists must ascend by kind and value, without duplicates");

// Every printable name of a kind, ascending by value.
constexpr std::span<const Name> all(NameKind kind) {
  const auto* first =
      std::partition_point(std::begin(kNames), std::end(kNames), [kind](const Name& name) { return name.kind < kind; });
  const auto* last =
      std::partition_point(first, std::end(kNames), [kind](const Name& name) { return name.kind == kind; });
  return {first, last};
}

constexpr std::optional<std::string_view> name_of(NameKind kind, CK_ULONG value) {
  const auto names = all(kind);
  const auto found = std::lower_bound(names.begin(), names.end(), value,
                                      [](const Name& name, CK_ULONG wanted) { return name.value < wanted; });
  if (found == names.end() || found->value != value) return std::nullopt;
  return found->text;
}

// Exact spelling; older names and spellings of the standard are understood too.
constexpr std::optional<CK_ULONG> value_of(NameKind kind, std::string_view text) {
  for (const std::span<const Name> names : {all(kind), std::span<const Name>(kAliases)})
    for (const Name& name : names)
      if (name.kind == kind && name.text == text) return name.value;
  return std::nullopt;
}

constexpr std::optional<std::string_view> ckr_name(CK_RV value) { return name_of(NameKind::ckr, value); }
constexpr std::optional<CK_RV> ckr_value(std::string_view text) { return value_of(NameKind::ckr, text); }
constexpr std::optional<std::string_view> ckm_name(CK_MECHANISM_TYPE value) { return name_of(NameKind::ckm, value); }
constexpr std::optional<CK_MECHANISM_TYPE> ckm_value(std::string_view text) { return value_of(NameKind::ckm, text); }
constexpr std::optional<std::string_view> cka_name(CK_ATTRIBUTE_TYPE value) { return name_of(NameKind::cka, value); }
constexpr std::optional<CK_ATTRIBUTE_TYPE> cka_value(std::string_view text) { return value_of(NameKind::cka, text); }

inline std::string hexadecimal(CK_ULONG value, std::size_t digits) {
  std::array<char, 2 * sizeof(CK_ULONG)> buffer;
  const auto end = std::to_chars(buffer.begin(), buffer.end(), value, 16).ptr;
  const std::size_t length = static_cast<std::size_t>(end - buffer.begin());
  return "0x" + std::string(digits > length ? digits - length : 0, '0') + std::string(buffer.data(), length);
}

inline std::string display_flags(NameKind kind, CK_FLAGS flags) {
  std::string text;
  for (const Name& flag : all(kind)) {
    if ((flags & flag.value) == 0) continue;
    text += (text.empty() ? "" : "|") + std::string(flag.text);
    flags &= ~flag.value;
  }
  if (text.empty()) return flags == 0 ? "0" : hexadecimal(flags, 1);
  return flags == 0 ? text : text + "|" + hexadecimal(flags, 1);
}

// "CKR_DEVICE_ERROR", "0x80001234 (vendor-defined)", "0x00000999"; of flags
// "CKF_RNG|CKF_LOGIN_REQUIRED|0x10", and "0".
inline std::string display(NameKind kind, CK_ULONG value) {
  if (is_flags(kind)) return display_flags(kind, value);
  if (const auto name = name_of(kind, value)) return std::string(*name);
  if (value == CK_UNAVAILABLE_INFORMATION) return "CK_UNAVAILABLE_INFORMATION";
  return hexadecimal(value, 8) + ((value & CKM_VENDOR_DEFINED) != 0 ? " (vendor-defined)" : "");
}

}  // namespace p11shim
