// Signs or verifies with a key of a token, whatever its type. Hashes are computed here where the token has
// the bare mechanism, and the token gets the hash alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/crypto/hash.h"

namespace p11shim {

struct SignatureScheme {
  enum class Padding : std::uint8_t { kPkcs1, kPss };

  const Hash* hash = nullptr;  // null: what is signed is a hash already
  Padding padding = Padding::kPkcs1;
  std::optional<CK_ULONG> salt_length{};  // PSS; the hash's length otherwise
  bool der = true;                        // ECDSA; r and s one after the other otherwise
  bool hash_on_token = false;
};

class Signer {
 public:
  enum class Purpose : std::uint8_t { kSign, kVerify };
  static constexpr std::size_t kLargestWhole = 32 << 20;  // of what must be signed in one piece

  // `after_init` runs between C_SignInit and the data. Throws Failure if the token lacks the mechanism or the
  // key is of no use, CallError if the token refuses.
  Signer(const Session& session, CK_OBJECT_HANDLE key, const SignatureScheme& scheme, Purpose purpose,
         const std::function<void()>& after_init = {});
  ~Signer();
  Signer(const Signer&) = delete;
  Signer& operator=(const Signer&) = delete;

  void update(std::string_view data);
  std::string sign();
  bool verify(std::string_view signature);

 private:
  void begin(CK_MECHANISM_TYPE mechanism);
  void begin_by_type();
  void begin_rsa();
  void begin_ec();
  std::string whole();  // what C_Sign gets
  std::string from_der(std::string_view signature) const;

  const Session& session_;
  CK_OBJECT_HANDLE key_;
  SignatureScheme scheme_;
  Purpose purpose_;
  CK_KEY_TYPE type_;
  std::size_t order_size_ = 0;  // of an EC key, in bytes
  std::unique_ptr<LocalHash> local_;
  std::string collected_;
  bool streams_ = false;  // through the token
  CK_RSA_PKCS_PSS_PARAMS pss_{};
};

}  // namespace p11shim
