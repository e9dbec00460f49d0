#include "tools/shimctl/bench/result_check.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "tools/shimctl/bench/bench_key.h"

namespace p11shim {

namespace {

struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string der_of(std::string_view raw) {
  const auto half = static_cast<int>(raw.size() / 2);
  ECDSA_SIG* signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(bytes(raw), half, nullptr), BN_bin2bn(bytes(raw) + half, half, nullptr));
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(signature, &der);
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return text;
}

bool message_is_signed(EVP_PKEY* key, std::string_view data, std::string_view signature) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool right = EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, key) == 1 &&
                     EVP_DigestVerify(context, bytes(signature), signature.size(), bytes(data), data.size()) == 1;
  EVP_MD_CTX_free(context);
  return right;
}

}  // namespace

bool signature_is_right(EVP_PKEY* key, CK_MECHANISM_TYPE mechanism, std::string_view data, std::string_view signature) {
  if (mechanism == CKM_EDDSA) return message_is_signed(key, data, signature);
  const Context context(EVP_PKEY_CTX_new(key, nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) != 1) return false;
  std::string der;
  if (mechanism == CKM_ECDSA) {
    der = der_of(signature);
    signature = der;
  } else {
    const bool pss = mechanism == CKM_RSA_PKCS_PSS;
    if (EVP_PKEY_CTX_set_rsa_padding(context.get(), pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1) return false;
    if (EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) != 1) return false;
    if (!pss) data.remove_prefix(data.size() - 32);  // the DigestInfo is OpenSSL's own
  }
  return EVP_PKEY_verify(context.get(), bytes(signature), signature.size(), bytes(data), data.size()) == 1;
}

AgreementPeer::AgreementPeer(EVP_PKEY* theirs) {
  const Context maker(EVP_PKEY_CTX_new(theirs, nullptr));
  EVP_PKEY* made = nullptr;
  if (!maker || EVP_PKEY_keygen_init(maker.get()) != 1 || EVP_PKEY_keygen(maker.get(), &made) != 1) {
    throw TestSkipped("no key can be made to agree with");
  }
  const PublicKey ours(made);
  unsigned char* point = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(made, &point);
  point_.assign(reinterpret_cast<char*>(point), size);
  OPENSSL_free(point);
  const Context agreement(EVP_PKEY_CTX_new(made, nullptr));
  std::size_t length = 0;
  if (EVP_PKEY_derive_init(agreement.get()) != 1 || EVP_PKEY_derive_set_peer(agreement.get(), theirs) != 1 ||
      EVP_PKEY_derive(agreement.get(), nullptr, &length) != 1) {
    throw TestSkipped("OpenSSL cannot agree with this key");
  }
  secret_.resize(length);
  EVP_PKEY_derive(agreement.get(), reinterpret_cast<unsigned char*>(secret_.data()), &length);
  secret_.resize(length);
}

}  // namespace p11shim
