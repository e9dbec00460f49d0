// The return codes that the shim makes up itself. Every other code is proxyd's or the module's own and passes
// unchanged. What each means for an application: docs/shim.md, "Return codes".
#pragma once

#include "pkcs11/cryptoki.h"

namespace p11shim::codes {

inline constexpr CK_RV kNotInitialised = CKR_CRYPTOKI_NOT_INITIALIZED;  // also for calls that C_Finalize interrupts
inline constexpr CK_RV kProxydLost =
    CKR_DEVICE_ERROR;  // broke, silent for too long, malformed, gone; or absent and told to fail
inline constexpr CK_RV kNoSlot = CKR_SLOT_ID_INVALID;  // there has never been a proxyd: nothing has any slots
inline constexpr CK_RV kNoSession = CKR_SESSION_HANDLE_INVALID;
inline constexpr CK_RV kTooLarge = CKR_DATA_LEN_RANGE;  // more than proxyd takes in one frame; nothing was sent
inline constexpr CK_RV kNoMemory = CKR_HOST_MEMORY;
inline constexpr CK_RV kInternal = CKR_GENERAL_ERROR;  // a defect of the shim

}  // namespace p11shim::codes
