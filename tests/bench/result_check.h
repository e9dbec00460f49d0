// Proves a target's results with OpenSSL: signatures against the public keys, digests and ciphertexts against
// its own.
#pragma once

#include "workload.h"

namespace p11shim {

// Runs every workload once; throws std::runtime_error that names the first with a wrong result. Returns those
// that the module refuses as CKR_MECHANISM_INVALID (p11-kit carries only mechanisms whose parameters it
// knows).
std::vector<std::string_view> check_results(CK_FUNCTION_LIST& module, CK_SLOT_ID slot);

}  // namespace p11shim
