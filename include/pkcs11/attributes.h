// What kind of value each attribute has, whether it may be shown, and whether it can change: one table for
// the codec, for logs and for whoever caches attributes. Unknown and vendor-defined attributes are plain
// bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "pkcs11/cryptoki.h"

namespace p11shim {

enum class AttributeKind : std::uint8_t {
  bytes,
  ulong,
  boolean,
  utf8,                // not terminated
  date,                // CK_DATE, or empty
  big_integer,         // unsigned, most significant byte first
  attribute_template,  // an array of CK_ATTRIBUTE
  mechanism_list,      // an array of CK_MECHANISM_TYPE
  ulong_array,
};

// changeable: the standard lets someone change it on some class of object (or does not say); fixed: never
// after creation. secret: the value, or the value on some class of object, is never shown. CKA_VALUE is a
// certificate's content and a key's material alike; tables of attributes do not know the class, so it counts
// as secret.
enum class AttributeTrait : std::uint8_t { changeable, fixed, secret, fixed_secret };

struct Attribute {
  CK_ATTRIBUTE_TYPE type;
  AttributeKind kind;
  AttributeTrait trait;
};

#define ALIAS(kind, name)
#define ATTRIBUTE(name, kind, trait) {name, AttributeKind::kind, AttributeTrait::trait},
inline constexpr Attribute kAttributes[] = {
#include "pkcs11/attributes.def"
};
#undef ALIAS
#undef ATTRIBUTE

// Null if the attribute is unknown to the table.
constexpr const Attribute* find_attribute(CK_ATTRIBUTE_TYPE type) {
  const auto* found =
      std::lower_bound(std::begin(kAttributes), std::end(kAttributes), type,
                       [](const Attribute& attribute, CK_ATTRIBUTE_TYPE wanted) { return attribute.type < wanted; });
  return found != std::end(kAttributes) && found->type == type ? found : nullptr;
}

constexpr AttributeKind attribute_kind(CK_ATTRIBUTE_TYPE type) {
  const Attribute* attribute = find_attribute(type);
  return attribute != nullptr ? attribute->kind : AttributeKind::bytes;
}

// An attribute that we do not know may hold anything: it counts as secret.
constexpr bool is_secret_attribute(CK_ATTRIBUTE_TYPE type) {
  const Attribute* attribute = find_attribute(type);
  return attribute == nullptr || attribute->trait == AttributeTrait::secret ||
         attribute->trait == AttributeTrait::fixed_secret;
}

constexpr bool is_fixed_attribute(CK_ATTRIBUTE_TYPE type) {
  const Attribute* attribute = find_attribute(type);
  return attribute != nullptr &&
         (attribute->trait == AttributeTrait::fixed || attribute->trait == AttributeTrait::fixed_secret);
}

}  // namespace p11shim
