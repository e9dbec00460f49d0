#include "tools/shimctl/crypto/hash.h"

#include <openssl/evp.h>

#include <array>
#include <vector>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

using namespace std::string_view_literals;

// A DigestInfo's beginning: its bytes differ in lengths and in the last one of the object identifier alone.
#define NIST_DIGEST_INFO(total, oid, length) \
  "\x30" total "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" oid "\x05\x00\x04" length ""sv

constexpr std::array<Hash, 9> kHashes{
    {{"SHA1", 20, CKM_SHA_1, CKM_SHA_1_HMAC, CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKM_ECDSA_SHA1, CKG_MGF1_SHA1,
      "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"sv},
     {"SHA224", 28, CKM_SHA224, CKM_SHA224_HMAC, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKM_ECDSA_SHA224,
      CKG_MGF1_SHA224, NIST_DIGEST_INFO("\x2d", "\x04", "\x1c")},
     {"SHA256", 32, CKM_SHA256, CKM_SHA256_HMAC, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_ECDSA_SHA256,
      CKG_MGF1_SHA256, NIST_DIGEST_INFO("\x31", "\x01", "\x20")},
     {"SHA384", 48, CKM_SHA384, CKM_SHA384_HMAC, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_ECDSA_SHA384,
      CKG_MGF1_SHA384, NIST_DIGEST_INFO("\x41", "\x02", "\x30")},
     {"SHA512", 64, CKM_SHA512, CKM_SHA512_HMAC, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKM_ECDSA_SHA512,
      CKG_MGF1_SHA512, NIST_DIGEST_INFO("\x51", "\x03", "\x40")},
     {"SHA3-224", 28, CKM_SHA3_224, CKM_SHA3_224_HMAC, CKM_SHA3_224_RSA_PKCS, CKM_SHA3_224_RSA_PKCS_PSS,
      CKM_ECDSA_SHA3_224, CKG_MGF1_SHA3_224, NIST_DIGEST_INFO("\x2d", "\x07", "\x1c")},
     {"SHA3-256", 32, CKM_SHA3_256, CKM_SHA3_256_HMAC, CKM_SHA3_256_RSA_PKCS, CKM_SHA3_256_RSA_PKCS_PSS,
      CKM_ECDSA_SHA3_256, CKG_MGF1_SHA3_256, NIST_DIGEST_INFO("\x31", "\x08", "\x20")},
     {"SHA3-384", 48, CKM_SHA3_384, CKM_SHA3_384_HMAC, CKM_SHA3_384_RSA_PKCS, CKM_SHA3_384_RSA_PKCS_PSS,
      CKM_ECDSA_SHA3_384, CKG_MGF1_SHA3_384, NIST_DIGEST_INFO("\x41", "\x09", "\x30")},
     {"SHA3-512", 64, CKM_SHA3_512, CKM_SHA3_512_HMAC, CKM_SHA3_512_RSA_PKCS, CKM_SHA3_512_RSA_PKCS_PSS,
      CKM_ECDSA_SHA3_512, CKG_MGF1_SHA3_512, NIST_DIGEST_INFO("\x51", "\x0a", "\x40")}}};
#undef NIST_DIGEST_INFO

// "SHA-256", "sha256", "sha2-256" and "sha3_256" as one spelling.
std::string normal(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '-' || c == '_') continue;
    text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (text.starts_with("sha2") && text.size() == 7) text.erase(3, 1);
  return text;
}

}  // namespace

const Hash& parse_hash(const std::string& name) {
  std::vector<std::string_view> known;
  for (const auto& hash : kHashes) {
    if (normal(hash.name) == normal(name)) return hash;
    known.push_back(hash.name);
  }
  throw Failure(ExitCode::kUsage, "there is no hash " + in_quotes(name) + did_you_mean(name, known),
                "sha1, sha224, sha256, sha384, sha512, sha3-224, sha3-256, sha3-384 and sha3-512 are known");
}

LocalHash::LocalHash(const Hash& hash) : hash_(hash), context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_, EVP_get_digestbyname(hash.name), nullptr);
}

LocalHash::~LocalHash() { EVP_MD_CTX_free(context_); }

void LocalHash::update(std::string_view bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }

std::string LocalHash::finish() {
  std::string digest(hash_.size, '\0');
  EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), nullptr);
  return digest;
}

CK_RSA_PKCS_OAEP_PARAMS oaep_parameters(const Hash& hash) {
  return {hash.digest, hash.mgf, CKZ_DATA_SPECIFIED, nullptr, 0};
}

CK_RSA_PKCS_PSS_PARAMS pss_parameters(const Hash& hash, CK_ULONG salt_length) {
  return {hash.digest, hash.mgf, salt_length};
}

}  // namespace p11shim
