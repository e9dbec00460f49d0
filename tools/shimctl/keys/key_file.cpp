#include "tools/shimctl/keys/key_file.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <memory>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, Free>>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Memory = std::unique_ptr<BIO, FreeBio>;

Memory memory(std::string_view bytes) { return Memory(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))); }

int no_passphrase(char*, int, int, void*) { return -1; }

Key private_key_in(std::string_view file) {
  if (Key key(PEM_read_bio_PrivateKey(memory(file).get(), nullptr, no_passphrase, nullptr)); key) return key;
  return Key(d2i_PrivateKey_bio(memory(file).get(), nullptr));
}

Key public_key_in(std::string_view file) {
  if (Key key(PEM_read_bio_PUBKEY(memory(file).get(), nullptr, no_passphrase, nullptr)); key) return key;
  return Key(d2i_PUBKEY_bio(memory(file).get(), nullptr));
}

Certificate certificate_in(std::string_view file) {
  if (Certificate found(PEM_read_bio_X509(memory(file).get(), nullptr, no_passphrase, nullptr)); found) return found;
  return Certificate(d2i_X509_bio(memory(file).get(), nullptr));
}

std::string number(const EVP_PKEY* key, const char* name, std::size_t width = 0) {
  BIGNUM* value = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &value) != 1) return {};
  std::string bytes(std::max<std::size_t>(width, static_cast<std::size_t>(BN_num_bytes(value))), '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  BN_clear_free(value);
  return bytes;
}

void set_number(Template& object, CK_ATTRIBUTE_TYPE type, const EVP_PKEY* key, const char* name) {
  std::string value = number(key, name);
  if (!value.empty()) object.set(type, value);
  wipe(value.data(), value.size());
}

std::string octets(std::string_view bytes) {
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> string(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(string.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                        static_cast<int>(bytes.size()));
  unsigned char* der = nullptr;
  const int length = i2d_ASN1_OCTET_STRING(string.get(), &der);
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return text;
}

void set_rsa(Template& object, const EVP_PKEY* key, bool secret) {
  object.set(CKA_KEY_TYPE, CKK_RSA);
  set_number(object, CKA_MODULUS, key, OSSL_PKEY_PARAM_RSA_N);
  set_number(object, CKA_PUBLIC_EXPONENT, key, OSSL_PKEY_PARAM_RSA_E);
  if (!secret) return;
  set_number(object, CKA_PRIVATE_EXPONENT, key, OSSL_PKEY_PARAM_RSA_D);
  set_number(object, CKA_PRIME_1, key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  set_number(object, CKA_PRIME_2, key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  set_number(object, CKA_EXPONENT_1, key, OSSL_PKEY_PARAM_RSA_EXPONENT1);
  set_number(object, CKA_EXPONENT_2, key, OSSL_PKEY_PARAM_RSA_EXPONENT2);
  set_number(object, CKA_COEFFICIENT, key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
}

void set_ec(Template& object, const EVP_PKEY* key, bool secret) {
  std::array<char, 80> group{};
  std::size_t length = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &length) != 1) {
    throw Failure(ExitCode::kUsage, "the key's curve has no name", "only named curves can be imported");
  }
  object.set(CKA_KEY_TYPE, CKK_EC);
  object.set(CKA_EC_PARAMS, parse_key_type("ec:" + std::string(group.data(), length)).ec_params);
  if (secret) {
    set_number(object, CKA_VALUE, key, OSSL_PKEY_PARAM_PRIV_KEY);
    return;
  }
  std::array<unsigned char, 300> point{};
  EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &length);
  object.set(CKA_EC_POINT, octets(std::string_view(reinterpret_cast<char*>(point.data()), length)));
}

void set_raw(Template& object, const EVP_PKEY* key, const char* name, bool secret) {
  const KeyType type = parse_key_type(name);
  object.set(CKA_KEY_TYPE, type.type).set(CKA_EC_PARAMS, type.ec_params);
  std::array<unsigned char, 64> bytes{};
  std::size_t length = bytes.size();
  if (secret) {
    EVP_PKEY_get_raw_private_key(key, bytes.data(), &length);
    object.set(CKA_VALUE, std::string_view(reinterpret_cast<char*>(bytes.data()), length));
    wipe(bytes.data(), bytes.size());
  } else {
    EVP_PKEY_get_raw_public_key(key, bytes.data(), &length);
    object.set(CKA_EC_POINT, octets(std::string_view(reinterpret_cast<char*>(bytes.data()), length)));
  }
}

Template object_of(const EVP_PKEY* key, bool secret) {
  Template object;
  object.set(CKA_CLASS, secret ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY);
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: set_rsa(object, key, secret); break;
    case EVP_PKEY_EC: set_ec(object, key, secret); break;
    case EVP_PKEY_ED25519: set_raw(object, key, "ed25519", secret); break;
    case EVP_PKEY_ED448: set_raw(object, key, "ed448", secret); break;
    case EVP_PKEY_X25519: set_raw(object, key, "x25519", secret); break;
    case EVP_PKEY_X448: set_raw(object, key, "x448", secret); break;
    default: throw Failure(ExitCode::kUsage, "keys of this type cannot be imported", "RSA, EC and Edwards keys can");
  }
  return object;
}

std::string der_of(int (*encode)(const X509_NAME*, unsigned char**), const X509_NAME* name) {
  unsigned char* der = nullptr;
  const int length = encode(name, &der);
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  return text;
}

Template object_of(X509* certificate) {
  Template object;
  object.set(CKA_CLASS, CKO_CERTIFICATE).set(CKA_CERTIFICATE_TYPE, CKC_X_509);
  object.set(CKA_SUBJECT, der_of(i2d_X509_NAME, X509_get_subject_name(certificate)));
  object.set(CKA_ISSUER, der_of(i2d_X509_NAME, X509_get_issuer_name(certificate)));
  unsigned char* der = nullptr;
  int length = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), &der);
  object.set(CKA_SERIAL_NUMBER, std::string_view(reinterpret_cast<char*>(der), static_cast<std::size_t>(length)));
  OPENSSL_free(der);
  der = nullptr;
  length = i2d_X509(certificate, &der);
  object.set(CKA_VALUE, std::string_view(reinterpret_cast<char*>(der), static_cast<std::size_t>(length)));
  OPENSSL_free(der);
  return object;
}

}  // namespace

std::vector<Template> objects_in(std::string_view file) {
  std::vector<Template> objects;
  if (const Key key = private_key_in(file)) {
    objects.push_back(object_of(key.get(), true));
    objects.push_back(object_of(key.get(), false));
  } else if (const Key public_key = public_key_in(file)) {
    objects.push_back(object_of(public_key.get(), false));
  } else if (const Certificate certificate = certificate_in(file)) {
    objects.push_back(object_of(certificate.get()));
  }
  ERR_clear_error();
  if (!objects.empty()) return objects;
  const bool encrypted = file.find("ENCRYPTED") != std::string_view::npos;
  throw Failure(ExitCode::kUsage,
                {.what = "the file holds no key or certificate that can be imported",
                 .why = encrypted ? "its key is encrypted" : "it is neither PEM nor DER of one",
                 .fix = encrypted ? "decrypt it first: openssl pkey -in FILE" : "a secret key needs its --type"});
}

}  // namespace p11shim
