// Who wrote a bundle: a signature by a private key of the token, which the public key alone proves, without the KEK
// and without any token.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/pkcs11/session.h"

namespace p11shim {

// RSA (PKCS#1) and EC keys sign the SHA-256 of the text, Edwards keys the text itself.
class BundleSigner {
 public:
  // Throws Failure: not there, ambiguous, cannot sign, or its public half is not known.
  BundleSigner(const Session& session, const std::string& key);

  // {"label", "spki_sha256", "public_key"}: hexadecimal digits, the last of the SubjectPublicKeyInfo.
  const nlohmann::json& description() const { return description_; }
  // Lower-case hexadecimal digits.
  std::string sign(const std::string& text) const;

 private:
  const Session& session_;
  CK_OBJECT_HANDLE key_;
  nlohmann::json description_;
};

// Throws Failure (kNegative) unless `signature` (as sign() wrote it) is `text`'s, by the public key in the PEM text
// `wanted`, or by the one that `signer` describes if that is empty; kUsage if `wanted` is no public key.
void check_bundle_signature(const nlohmann::json& signer, const std::string& text, const std::string& signature,
                            const std::string& wanted);

}  // namespace p11shim
