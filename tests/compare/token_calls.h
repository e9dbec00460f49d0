// The few unrecorded calls with which backends make tokens and applications find them.
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

// Throws std::runtime_error unless `rv` is CKR_OK.
void must(CK_RV rv, const std::string& what);

// Throws std::runtime_error if there is none.
CK_SLOT_ID slot_of(CK_FUNCTION_LIST& functions, const std::string& token_label);
CK_SLOT_ID uninitialised_slot(CK_FUNCTION_LIST& functions);

CK_RV init_token(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot, const std::string& label);
// Logs in as SO with `so_pin` and sets kUserPin.
void init_user_pin(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot, const std::string& so_pin);

}  // namespace p11shim::compare
