// What C_SessionCancel ends (3.0 §5.6.5): its flags, and the operations that they mean.
#pragma once

#include "calls/policy.h"
#include "pkcs11/cryptoki.h"

namespace p11shim {

inline Operation cancelled_operations(CK_FLAGS flags) {
  struct CancelFlag {
    CK_FLAGS flag;
    Operation operation;
  };
  constexpr CancelFlag kCancelFlags[] = {
      {CKF_ENCRYPT, Operation::encrypt},
      {CKF_DECRYPT, Operation::decrypt},
      {CKF_DIGEST, Operation::digest},
      {CKF_SIGN, Operation::sign},
      {CKF_SIGN_RECOVER, Operation::sign_recover},
      {CKF_VERIFY, Operation::verify},
      {CKF_VERIFY_RECOVER, Operation::verify_recover},
      {CKF_FIND_OBJECTS, Operation::find},
      {CKF_MESSAGE_ENCRYPT, Operation::message_encrypt},
      {CKF_MESSAGE_DECRYPT, Operation::message_decrypt},
      {CKF_MESSAGE_SIGN, Operation::message_sign},
      {CKF_MESSAGE_VERIFY, Operation::message_verify},
  };
  Operation all = Operation::none;
  for (const CancelFlag& each : kCancelFlags)
    if ((flags & each.flag) != 0) all = all | each.operation;
  return all;
}

}  // namespace p11shim
