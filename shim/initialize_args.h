// CK_C_INITIALIZE_ARGS (§5.4). We create no threads and lock with our own locks, which every combination of
// flags and callbacks allows: the callbacks are checked and never called.
#pragma once

#include "pkcs11/cryptoki.h"

namespace p11shim {

// CKR_OK or CKR_ARGUMENTS_BAD. Flags that the standard does not know are ignored, as modules do.
CK_RV check_initialize_args(const void* pInitArgs);

}  // namespace p11shim
