#include "shim/initialize_args.h"

namespace p11shim {

CK_RV check_initialize_args(const void* pInitArgs) {
  if (pInitArgs == nullptr) return CKR_OK;
  const auto& args = *static_cast<const CK_STANDARD_INITIALIZE_ARGS*>(pInitArgs);
  if (args.pReserved != nullptr) return CKR_ARGUMENTS_BAD;
  const int callbacks = (args.CreateMutex != nullptr) + (args.DestroyMutex != nullptr) + (args.LockMutex != nullptr) +
                        (args.UnlockMutex != nullptr);
  return callbacks == 0 || callbacks == 4 ? CKR_OK : CKR_ARGUMENTS_BAD;
}

}  // namespace p11shim
