#include "token.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace p11shim {
namespace {

constexpr std::array<CK_BYTE, 10> kPrime256v1{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

Bytes text(std::string_view value) { return {value.begin(), value.end()}; }
Bytes flag(bool value) { return {static_cast<CK_BYTE>(value ? CK_TRUE : CK_FALSE)}; }

// Not a number that anybody could use, but of the right size, and different for each slot and seed.
Bytes pattern(std::size_t size, CK_SLOT_ID slot, CK_BYTE seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<CK_BYTE>(seed + 16 * slot + 7 * i);
  bytes.front() |= 0x80;
  bytes.back() |= 0x01;
  return bytes;
}

Bytes ec_point(CK_SLOT_ID slot) {
  Bytes point{0x04, 0x41, 0x04};  // OCTET STRING, uncompressed
  const Bytes coordinates = pattern(64, slot, 0x31);
  point.insert(point.end(), coordinates.begin(), coordinates.end());
  return point;
}

Attributes object(CK_OBJECT_CLASS type, std::string_view label, CK_BYTE id, bool is_private) {
  return {{CKA_CLASS, ulong_bytes(type)}, {CKA_TOKEN, flag(true)},  {CKA_PRIVATE, flag(is_private)},
          {CKA_MODIFIABLE, flag(true)},   {CKA_LABEL, text(label)}, {CKA_ID, {id}}};
}

Attributes key(CK_OBJECT_CLASS type, CK_KEY_TYPE key_type, std::string_view label, CK_BYTE id) {
  Attributes attributes = object(type, label, id, type != CKO_PUBLIC_KEY);
  attributes[CKA_KEY_TYPE] = ulong_bytes(key_type);
  attributes[CKA_LOCAL] = flag(true);
  if (type == CKO_PUBLIC_KEY) {
    attributes[CKA_VERIFY] = flag(true);
    attributes[CKA_ENCRYPT] = flag(key_type == CKK_RSA);
    return attributes;
  }
  attributes[CKA_SIGN] = flag(true);
  attributes[CKA_DECRYPT] = flag(true);
  attributes[CKA_SENSITIVE] = flag(true);
  attributes[CKA_EXTRACTABLE] = flag(false);
  attributes[CKA_ALWAYS_AUTHENTICATE] = flag(false);
  return attributes;
}

}  // namespace

Bytes ulong_bytes(CK_ULONG value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

Attributes to_attributes(const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  Attributes result;
  for (CK_ULONG i = 0; i < count; ++i) {
    const auto* value = static_cast<const CK_BYTE*>(attributes[i].pValue);
    result[attributes[i].type] = value == nullptr ? Bytes{} : Bytes(value, value + attributes[i].ulValueLen);
  }
  return result;
}

bool MockObject::is(CK_ATTRIBUTE_TYPE type) const {
  const auto found = attributes.find(type);
  return found != attributes.end() && !found->second.empty() && found->second.front() != CK_FALSE;
}

bool MockObject::matches(const CK_ATTRIBUTE* wanted, CK_ULONG count) const {
  const Attributes asked = to_attributes(wanted, count);
  return std::all_of(asked.begin(), asked.end(), [this](const auto& one) {
    const auto found = attributes.find(one.first);
    return found != attributes.end() && found->second == one.second;
  });
}

bool MockObject::hides(CK_ATTRIBUTE_TYPE type) const {
  const bool secret = type == CKA_VALUE || (type >= CKA_PRIVATE_EXPONENT && type <= CKA_COEFFICIENT);
  const auto found = attributes.find(CKA_CLASS);
  const bool is_key = found != attributes.end() &&
                      (found->second == ulong_bytes(CKO_PRIVATE_KEY) || found->second == ulong_bytes(CKO_SECRET_KEY));
  return secret && is_key && (is(CKA_SENSITIVE) || !is(CKA_EXTRACTABLE));
}

std::vector<Attributes> initial_objects(CK_SLOT_ID slot, CK_ULONG keys) {
  const Bytes modulus = pattern(256, slot, 0x11);

  Attributes rsa_public = key(CKO_PUBLIC_KEY, CKK_RSA, "rsa", 1);
  rsa_public[CKA_MODULUS] = modulus;
  rsa_public[CKA_MODULUS_BITS] = ulong_bytes(2048);
  rsa_public[CKA_PUBLIC_EXPONENT] = {1, 0, 1};

  Attributes rsa_private = key(CKO_PRIVATE_KEY, CKK_RSA, "rsa", 1);
  rsa_private[CKA_MODULUS] = modulus;
  rsa_private[CKA_PUBLIC_EXPONENT] = {1, 0, 1};
  rsa_private[CKA_PRIVATE_EXPONENT] = pattern(256, slot, 0x12);

  Attributes ec_public = key(CKO_PUBLIC_KEY, CKK_EC, "ec", 2);
  ec_public[CKA_EC_PARAMS] = {kPrime256v1.begin(), kPrime256v1.end()};
  ec_public[CKA_EC_POINT] = ec_point(slot);

  Attributes ec_private = key(CKO_PRIVATE_KEY, CKK_EC, "ec", 2);
  ec_private[CKA_EC_PARAMS] = {kPrime256v1.begin(), kPrime256v1.end()};
  ec_private[CKA_VALUE] = pattern(32, slot, 0x21);

  Attributes aes = key(CKO_SECRET_KEY, CKK_AES, "aes", 3);
  aes[CKA_VALUE_LEN] = ulong_bytes(32);
  aes[CKA_VALUE] = pattern(32, slot, 0x41);

  Attributes certificate = object(CKO_CERTIFICATE, "certificate", 1, false);
  certificate[CKA_CERTIFICATE_TYPE] = ulong_bytes(CKC_X_509);
  certificate[CKA_SUBJECT] = text("mock subject");
  certificate[CKA_VALUE] = pattern(300, slot, 0x51);

  Attributes data = object(CKO_DATA, "data", 4, false);
  data.erase(CKA_ID);
  data[CKA_APPLICATION] = text("mock");
  data[CKA_VALUE] = text("public data");

  std::vector<Attributes> all{rsa_public, rsa_private, ec_public, ec_private, aes, certificate, data};
  for (CK_ULONG i = 0; slot == 0 && i < keys; ++i)
    all.push_back(key(CKO_SECRET_KEY, CKK_VENDOR_DEFINED, "key " + std::to_string(i), 5));
  return all;
}

}  // namespace p11shim
