// Whether a token's signature is right, in the opinion of OpenSSL.
#pragma once

#include <string_view>

#include "tools/shimctl/bench/test_list.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

// `data` is what the token was given: a hash (with its DigestInfo for CKM_RSA_PKCS), or the message.
bool signature_is_right(EVP_PKEY* key, CK_MECHANISM_TYPE mechanism, std::string_view data, std::string_view signature);

// A key pair of ours on the curve of `theirs`, for a key agreement with it.
class AgreementPeer {
 public:
  explicit AgreementPeer(EVP_PKEY* theirs);

  const std::string& point() const { return point_; }  // ours, as CKM_ECDH1_DERIVE takes it
  const std::string& secret() const { return secret_; }

 private:
  std::string point_;
  std::string secret_;
};

}  // namespace p11shim
