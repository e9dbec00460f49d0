// A test's mechanism with its parameters, which it points to: it stays where it was made.
#pragma once

#include <array>
#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class MechanismParameters {
 public:
  explicit MechanismParameters(CK_MECHANISM_TYPE type);
  MechanismParameters(const MechanismParameters&) = delete;
  MechanismParameters& operator=(const MechanismParameters&) = delete;

  CK_MECHANISM* get() { return &mechanism_; }
  // Another IV or nonce each time, as an application must have it.
  void next_iv();
  void agree_with(std::string point);  // of CKM_ECDH1_DERIVE

 private:
  CK_MECHANISM mechanism_{};
  std::array<CK_BYTE, 16> iv_{};
  CK_GCM_PARAMS gcm_{};
  CK_AES_CTR_PARAMS ctr_{};
  CK_RSA_PKCS_OAEP_PARAMS oaep_{};
  CK_RSA_PKCS_PSS_PARAMS pss_{};
  CK_ECDH1_DERIVE_PARAMS ecdh_{};
  std::string point_;
};

}  // namespace p11shim
