// A token's objects in one file: keys wrapped under a KEK, everything else readable, and all of it under the
// KEK's CMAC, so that no byte can be changed unnoticed. It may also be signed, by a key that the first line names.
//
//   {"schema":"p11shim.backup/1", …}\n
//   cmac:<32 hexadecimal digits>\n        of the SHA-256 of the first line, its end included
//   signature:<hexadecimal digits>\n      of both lines before
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/automate/bundle_signature.h"
#include "tools/shimctl/automate/custodians.h"

namespace p11shim {

// The KEK: a key of the token, or one made from a secret for as long as this object lives.
class BackupKek {
 public:
  // Throws Failure: not there, no AES key, or may not wrap and sign.
  BackupKek(const Session& session, const std::string& label);
  BackupKek(const Session& session, const Secret& secret);
  ~BackupKek();
  BackupKek(const BackupKek&) = delete;
  BackupKek& operator=(const BackupKek&) = delete;

  CK_OBJECT_HANDLE handle() const { return key_; }
  bool can_leave() const;  // the token, wrapped
  std::string mac_of(const std::string& text) const;
  std::string wrap(CK_OBJECT_HANDLE key) const;
  CK_OBJECT_HANDLE unwrap(const std::string& wrapped, const Template& attributes) const;

 private:
  const Session& session_;
  CK_OBJECT_HANDLE key_ = CK_INVALID_HANDLE;
  bool made_ = false;
};

inline constexpr std::size_t kLargestBundle = 64 << 20;

std::string new_bundle_id();
Secret random_secret();  // of a KEK; 32 bytes

// The bundle's text. `head`: id, token, kek, custodians. Signed, if there is a signer.
std::string create_bundle(const Session& session, const BackupKek& kek, nlohmann::json head,
                          const BundleSigner* signer = nullptr);

// What it says of itself, before anything proves it: the KEK's label, the custodians. Throws Failure
// (kNegative) if it is no bundle.
nlohmann::json bundle_head(const std::string& text);

// Throws Failure (kNegative) if the bundle is not as it was written with this KEK, or its signature is wrong: with
// `public_key` (PEM), if there is not one by that key. Returns its content.
nlohmann::json opened_bundle(const std::string& text, const BackupKek& kek, const std::string& public_key = {});

// The same without the KEK, by its signature alone.
nlohmann::json signed_bundle(const std::string& text, const std::string& public_key);

}  // namespace p11shim
