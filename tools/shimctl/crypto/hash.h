// Hash functions by their names: "sha256", "SHA-256", "sha3-256".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pkcs11/cryptoki.h"

typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;

namespace p11shim {

struct Hash {
  const char* name;  // OpenSSL's
  std::size_t size;  // bytes
  CK_MECHANISM_TYPE digest;
  CK_MECHANISM_TYPE hmac;
  CK_MECHANISM_TYPE rsa_pkcs;
  CK_MECHANISM_TYPE rsa_pss;
  CK_MECHANISM_TYPE ecdsa;
  CK_RSA_PKCS_MGF_TYPE mgf;
  std::string_view digest_info;  // what PKCS#1 puts in front of the hash
};

// Throws Failure (kUsage), with the nearest name.
const Hash& parse_hash(const std::string& name);

// Computed here, not by the token.
class LocalHash {
 public:
  explicit LocalHash(const Hash& hash);
  ~LocalHash();
  LocalHash(const LocalHash&) = delete;
  LocalHash& operator=(const LocalHash&) = delete;

  void update(std::string_view bytes);
  std::string finish();

 private:
  const Hash& hash_;
  EVP_MD_CTX* context_;
};

CK_RSA_PKCS_OAEP_PARAMS oaep_parameters(const Hash& hash);
CK_RSA_PKCS_PSS_PARAMS pss_parameters(const Hash& hash, CK_ULONG salt_length);

}  // namespace p11shim
