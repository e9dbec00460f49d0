#include "tools/shimctl/automate/bundle_signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "config/problem.h"
#include "tools/shimctl/crypto/signer.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

using nlohmann::json;

namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

[[noreturn]] void refuse(const std::string& why) {
  throw Failure(ExitCode::kNegative, {.what = "the bundle is refused", .why = why, .fix = {}});
}

PublicKey key_in_pem(const std::string& pem) {
  const std::unique_ptr<BIO, FreeBio> memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PublicKey key(PEM_read_bio_PUBKEY(memory.get(), nullptr, nullptr, nullptr));
  if (key) return key;
  throw Failure(ExitCode::kUsage, "--public-key is no public key in PEM form",
                "shimctl key export-pub KEY > signer.pem writes one");
}

PublicKey key_in_spki(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  return PublicKey(d2i_PUBKEY(nullptr, &bytes, static_cast<long>(der.size())));
}

bool is_right(const PublicKey& key, const std::string& text, const std::string& signature) {
  const int type = EVP_PKEY_get_base_id(key.get());
  const bool hashed = type != EVP_PKEY_ED25519 && type != EVP_PKEY_ED448;
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, hashed ? EVP_sha256() : nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
}

}  // namespace

BundleSigner::BundleSigner(const Session& session, const std::string& key)
    : session_(session), key_(find_one(session, KeySelector::parse(key), {CKO_PRIVATE_KEY})) {
  const auto half = public_key_of(session, key_);
  if (!half) {
    throw Failure(ExitCode::kNotFound, "the public half of " + in_quotes(key) + " is not on the token",
                  "it is needed to name who signed; put it there with the same id");
  }
  const std::string spki = spki_of(half);
  description_ = {{"label", key}, {"spki_sha256", hex(sha256_of(spki))}, {"public_key", hex(spki)}};
}

std::string BundleSigner::sign(const std::string& text) const {
  Signer signer(session_, key_, {.hash = &parse_hash("sha256")}, Signer::Purpose::kSign);
  signer.update(text);
  return hex(signer.sign());
}

void check_bundle_signature(const json& signer, const std::string& text, const std::string& signature,
                            const std::string& wanted) {
  const auto named = [&](const char* what) {
    const bool there = signer.is_object() && signer.contains(what) && signer[what].is_string();
    return there ? signer[what].get<std::string>() : std::string();
  };
  const PublicKey key = wanted.empty() ? key_in_spki(parse_hex(named("public_key")).value_or("")) : key_in_pem(wanted);
  if (signature.empty()) refuse("it is not signed");
  if (!key) refuse("it does not say with which key it was signed");
  const std::string bytes = parse_hex(signature).value_or("");
  if (hex(bytes) == signature && is_right(key, text, bytes)) return;
  const bool other = !wanted.empty() && hex(spki_of(key)) != named("public_key");
  refuse(other ? "it is not signed by this key but, as it says, by " + in_quotes(named("label")) + ", SHA-256 " +
                     named("spki_sha256")
               : "it was changed since it was signed");
}

}  // namespace p11shim
