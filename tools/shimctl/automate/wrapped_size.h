// How long a secret key is whose token does not tell CKA_VALUE_LEN, as SoftHSM does not of keys that were unwrapped.
#pragma once

#include <optional>

#include "tools/pkcs11/session.h"

namespace p11shim {

// In bits, from the length of the key wrapped under a key that exists for the moment only; none if it may not be
// wrapped, the token has no CKM_AES_KEY_WRAP, or its length is no multiple of 64.
std::optional<CK_ULONG> wrapped_size(const Session& session, CK_OBJECT_HANDLE key);

}  // namespace p11shim
