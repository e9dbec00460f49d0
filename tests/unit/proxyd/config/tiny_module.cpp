// The least that passes for a PKCS#11 module: a shared object that exports C_GetFunctionList.
#include "pkcs11/cryptoki.h"

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR) {
  return CKR_FUNCTION_NOT_SUPPORTED;
}
