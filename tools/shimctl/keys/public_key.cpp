#include "tools/shimctl/keys/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <array>

#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, Free>>;

PublicKey from_params(const char* algorithm, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return PublicKey(key);
}

PublicKey rsa(std::string_view modulus, std::string_view exponent) {
  const Owned<BIGNUM, BN_free> n(BN_bin2bn(bytes(modulus), static_cast<int>(modulus.size()), nullptr));
  const Owned<BIGNUM, BN_free> e(BN_bin2bn(bytes(exponent), static_cast<int>(exponent.size()), nullptr));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return from_params("RSA", builder.get());
}

// The standard wraps a point in an OCTET STRING; not every module does.
std::string unwrapped(std::string_view point) {
  const auto* begin = bytes(point);
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> octets(
      d2i_ASN1_OCTET_STRING(nullptr, &begin, static_cast<long>(point.size())));
  if (!octets || begin != bytes(point) + point.size()) return std::string(point);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets.get())),
          static_cast<std::size_t>(ASN1_STRING_length(octets.get()))};
}

PublicKey ec(std::string_view ec_params, std::string_view ec_point) {
  const int nid = curve_nid(ec_params);
  const std::string point = unwrapped(ec_point);
  if (nid == NID_ED25519 || nid == NID_ED448 || nid == NID_X25519 || nid == NID_X448) {
    return PublicKey(EVP_PKEY_new_raw_public_key(nid, nullptr, bytes(point), point.size()));
  }
  const char* name = OBJ_nid2sn(nid);
  if (nid == NID_undef || name == nullptr) return nullptr;
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return from_params("EC", builder.get());
}

constexpr std::array<CK_ATTRIBUTE_TYPE, 9> kWanted{CKA_CLASS,     CKA_KEY_TYPE, CKA_ID,
                                                   CKA_LABEL,     CKA_MODULUS,  CKA_PUBLIC_EXPONENT,
                                                   CKA_EC_PARAMS, CKA_EC_POINT, CKA_PUBLIC_KEY_INFO};

}  // namespace

void FreePublicKey::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

std::span<const CK_ATTRIBUTE_TYPE> public_key_attributes() { return kWanted; }

PublicKey public_key_of(const ObjectAttributes& attributes) {
  const auto value = [&](CK_ATTRIBUTE_TYPE type) { return attributes.bytes(type).value_or(""); };
  if (!value(CKA_MODULUS).empty() && !value(CKA_PUBLIC_EXPONENT).empty()) {
    return rsa(value(CKA_MODULUS), value(CKA_PUBLIC_EXPONENT));
  }
  if (!value(CKA_EC_PARAMS).empty() && !value(CKA_EC_POINT).empty()) {
    if (auto key = ec(value(CKA_EC_PARAMS), value(CKA_EC_POINT))) return key;
  }
  const auto info = value(CKA_PUBLIC_KEY_INFO);
  const auto* begin = bytes(info);
  return PublicKey(info.empty() ? nullptr : d2i_PUBKEY(nullptr, &begin, static_cast<long>(info.size())));
}

PublicKey public_key_of(const Session& session, CK_OBJECT_HANDLE key) {
  const auto attributes = session.read(key, kWanted);
  if (auto found = public_key_of(attributes)) return found;
  if (attributes.number(CKA_CLASS) != CKO_PRIVATE_KEY) return nullptr;
  const auto type = attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  for (const CK_ATTRIBUTE_TYPE by : {CKA_ID, CKA_LABEL}) {
    const auto value = attributes.text(by);
    if (value.empty()) continue;
    const auto halves = session.find(Template().set(CKA_CLASS, CKO_PUBLIC_KEY).set(CKA_KEY_TYPE, type).set(by, value));
    if (halves.size() == 1) return public_key_of(session.read(halves.front(), kWanted));
  }
  return nullptr;
}

std::string spki_of(const PublicKey& key) {
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key.get(), &der);
  std::string spki(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return spki;
}

std::string sha256_of(std::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(bytes(text), text.size(), reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string pem_of(std::string_view label, std::string_view der) {
  std::string base64(4 * ((der.size() + 2) / 3) + 1, '\0');
  base64.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), bytes(der), static_cast<int>(der.size()))));
  std::string pem = "-----BEGIN " + std::string(label) + "-----\n";
  for (std::size_t i = 0; i < base64.size(); i += 64) pem += base64.substr(i, 64) + '\n';
  return pem + "-----END " + std::string(label) + "-----\n";
}

}  // namespace p11shim
