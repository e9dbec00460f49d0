// A mechanism in one line, for logs.
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

// "CKM_RSA_PKCS_PSS(CKM_SHA256, CKG_MGF1_SHA256, 32)", "CKM_AES_GCM(12 bytes, 96, 0 bytes, 128)",
// "CKM_ECDSA". Of byte strings only the length is told: IVs, salts, passwords and data never show. Reads the
// structs that the mechanism points to.
std::string describe_mechanism(const CK_MECHANISM& mechanism);

}  // namespace p11shim
