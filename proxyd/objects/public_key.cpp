#include "proxyd/objects/public_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

namespace p11shim {
namespace {

using Bytes = std::span<const std::uint8_t>;
using PKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using PKeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;
using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

// The DER OCTET STRING around a point (§2.3.3 of the 3.0 mechanisms), which some modules leave out.
Bytes unwrapped(Bytes point) {
  if (point.size() < 3 || point[0] != 0x04) return point;
  if (point[1] < 0x80 && point[1] == point.size() - 2) return point.subspan(2);
  if (point[1] == 0x81 && point.size() > 3 && point[2] == point.size() - 3) return point.subspan(3);
  return point;
}

ByteString tagged(std::uint8_t tag, Bytes first, Bytes second) {
  ByteString form{tag};
  for (int shift = 0; shift < 32; shift += 8) form.push_back(static_cast<std::uint8_t>(first.size() >> shift));
  form.insert(form.end(), first.begin(), first.end());
  form.insert(form.end(), second.begin(), second.end());
  return form;
}

ByteString rsa_form(Bytes modulus) {
  while (!modulus.empty() && modulus[0] == 0) modulus = modulus.subspan(1);
  return tagged('R', modulus, {});
}

PKey parse_spki(Bytes spki) {
  const unsigned char* at = spki.data();
  return {d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())), &EVP_PKEY_free};
}

std::optional<ByteString> modulus_of(const EVP_PKEY& key) {
  BIGNUM* modulus = nullptr;
  if (EVP_PKEY_get_bn_param(&key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1) return std::nullopt;
  const Number owned(modulus, &BN_free);
  ByteString bytes(static_cast<std::size_t>(BN_num_bytes(modulus)));
  BN_bn2bin(modulus, bytes.data());
  return bytes;
}

std::optional<ByteString> curve_of(const EVP_PKEY& key) {
  char name[80];
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(&key, name, sizeof name, &length) != 1) return std::nullopt;
  const ASN1_OBJECT* curve = OBJ_nid2obj(OBJ_sn2nid(name));
  if (curve == nullptr) return std::nullopt;
  const int size = i2d_ASN1_OBJECT(curve, nullptr);
  if (size <= 0) return std::nullopt;
  ByteString der(static_cast<std::size_t>(size));
  unsigned char* to = der.data();
  i2d_ASN1_OBJECT(curve, &to);
  return der;
}

std::optional<ByteString> point_of(const EVP_PKEY& key) {
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(&key, OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0, &size) != 1) return std::nullopt;
  ByteString point(size);
  if (EVP_PKEY_get_octet_string_param(&key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size) != 1)
    return std::nullopt;
  return point;
}

// A named curve's key; null where OpenSSL does not know the curve.
PKey ec_key(Bytes curve, Bytes point) {
  const unsigned char* at = curve.data();
  ASN1_OBJECT* oid = d2i_ASN1_OBJECT(nullptr, &at, static_cast<long>(curve.size()));
  const char* name = oid == nullptr ? nullptr : OBJ_nid2sn(OBJ_obj2nid(oid));
  ASN1_OBJECT_free(oid);
  PKey none(nullptr, &EVP_PKEY_free);
  if (name == nullptr) return none;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, const_cast<char*>(name), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, const_cast<std::uint8_t*>(point.data()), point.size()),
      OSSL_PARAM_construct_end()};
  const PKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), &EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1) return none;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) return none;
  return {key, &EVP_PKEY_free};
}

bool verifies_ecdsa(EVP_PKEY& key, Bytes digest, Bytes signature) {
  if (signature.empty() || signature.size() % 2 != 0) return false;
  const int half = static_cast<int>(signature.size() / 2);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(ECDSA_SIG_new(), &ECDSA_SIG_free);
  ECDSA_SIG_set0(pair.get(), BN_bin2bn(signature.data(), half, nullptr),
                 BN_bin2bn(signature.data() + half, half, nullptr));
  const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
  if (size <= 0) return false;
  ByteString der(static_cast<std::size_t>(size));
  unsigned char* to = der.data();
  i2d_ECDSA_SIG(pair.get(), &to);
  const PKeyContext context(EVP_PKEY_CTX_new(&key, nullptr), &EVP_PKEY_CTX_free);
  return context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_verify(context.get(), der.data(), der.size(), digest.data(), digest.size()) == 1;
}

bool verifies_eddsa(Bytes point, Bytes message, Bytes signature) {
  const int type = point.size() == 32 ? EVP_PKEY_ED25519 : point.size() == 57 ? EVP_PKEY_ED448 : 0;
  if (type == 0) return false;
  const PKey key(EVP_PKEY_new_raw_public_key(type, nullptr, point.data(), point.size()), &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  return key != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

}  // namespace

std::optional<PublicKey> PublicKey::read(Bytes content) {
  Bytes modulus;
  Bytes curve;
  Bytes point;
  Bytes spki;
  In in(content);
  while (in.remaining() != 0) {
    const std::uint64_t type = in.uint();
    const Bytes value = in.bin();
    if (!in.ok()) return std::nullopt;
    if (type == CKA_MODULUS) modulus = value;
    if (type == CKA_EC_PARAMS) curve = value;
    if (type == CKA_EC_POINT) point = unwrapped(value);
    if (type == CKA_PUBLIC_KEY_INFO) spki = value;
  }
  PublicKey key;
  if (!modulus.empty()) {
    key.normal_form_ = rsa_form(modulus);
    return key;
  }
  if (!curve.empty() && !point.empty()) {
    key.curve_.assign(curve.begin(), curve.end());
    key.point_.assign(point.begin(), point.end());
    key.normal_form_ = tagged('E', curve, point);
    return key;
  }
  const PKey parsed = spki.empty() ? PKey(nullptr, &EVP_PKEY_free) : parse_spki(spki);
  if (parsed == nullptr) return std::nullopt;
  if (const auto n = modulus_of(*parsed)) {
    key.normal_form_ = rsa_form(*n);
    return key;
  }
  const auto its_curve = curve_of(*parsed);
  const auto its_point = point_of(*parsed);
  if (!its_curve || !its_point) return std::nullopt;
  key.curve_ = *its_curve;
  key.point_ = *its_point;
  key.normal_form_ = tagged('E', key.curve_, key.point_);
  return key;
}

Bytes PublicKey::x() const {
  if (point_.size() % 2 == 0 || point_.size() < 3 || point_[0] != POINT_CONVERSION_UNCOMPRESSED) return {};
  return Bytes(point_).subspan(1, point_.size() / 2);
}

ByteString base_point(Bytes content) {
  Bytes curve;
  In in(content);
  while (in.remaining() != 0 && in.ok()) {
    const std::uint64_t type = in.uint();
    const Bytes value = in.bin();
    if (type == CKA_EC_PARAMS) curve = value;
  }
  const unsigned char* at = curve.data();
  ASN1_OBJECT* oid = curve.empty() ? nullptr : d2i_ASN1_OBJECT(nullptr, &at, static_cast<long>(curve.size()));
  const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(
      oid == nullptr ? nullptr : EC_GROUP_new_by_curve_name(OBJ_obj2nid(oid)), &EC_GROUP_free);
  ASN1_OBJECT_free(oid);
  if (group == nullptr) return {};
  ByteString point(1 + 2 * ((static_cast<std::size_t>(EC_GROUP_get_degree(group.get())) + 7) / 8));
  const std::size_t size = EC_POINT_point2oct(group.get(), EC_GROUP_get0_generator(group.get()),
                                              POINT_CONVERSION_UNCOMPRESSED, point.data(), point.size(), nullptr);
  point.resize(size);
  return point;
}

bool PublicKey::verifies(Bytes message, Bytes signature) const {
  if (curve_.empty()) return false;
  if (point_.size() == 32 || point_.size() == 57) return verifies_eddsa(point_, message, signature);
  const PKey key = ec_key(curve_, point_);
  return key != nullptr && verifies_ecdsa(*key, message, signature);
}

}  // namespace p11shim
