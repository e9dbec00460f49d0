// The mechanism and the parameters of an encryption.
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

// Points into itself: it stays where it was made.
class CipherMode {
 public:
  // `mode` empty: GCM for AES, CBC for DES3, OAEP for RSA. Throws Failure (kUsage).
  CipherMode(CK_KEY_TYPE key, const std::string& mode, const std::string& hash, std::string aad);
  CipherMode(const CipherMode&) = delete;
  CipherMode& operator=(const CipherMode&) = delete;

  CK_MECHANISM_TYPE type() const { return mechanism_.mechanism; }
  std::size_t iv_size() const { return iv_size_; }  // 0: it takes none
  bool in_one_piece() const {
    return mechanism_.mechanism == CKM_RSA_PKCS || mechanism_.mechanism == CKM_RSA_PKCS_OAEP;
  }

  // With the parameters for this IV. Throws Failure (kUsage) if its size is wrong.
  CK_MECHANISM* with_iv(std::string iv);

 private:
  CK_MECHANISM mechanism_{};
  std::size_t iv_size_ = 0;
  std::string iv_;
  std::string aad_;
  CK_GCM_PARAMS gcm_{};
  CK_AES_CTR_PARAMS ctr_{};
  CK_SALSA20_CHACHA20_POLY1305_PARAMS chacha_{};
  CK_RSA_PKCS_OAEP_PARAMS oaep_{};
};

}  // namespace p11shim
