// What tells a secret key from others without showing it.
#pragma once

#include <string>

#include "tools/pkcs11/session.h"

namespace p11shim {

// "ecb:0a1b2c" (the first bytes of an encrypted zero block), "cmac:…" or "hmac:…" (of zeros), by what the key may
// do; empty if it may do none of them. Throws CallError.
std::string check_value(const Session& session, CK_OBJECT_HANDLE key);

}  // namespace p11shim
