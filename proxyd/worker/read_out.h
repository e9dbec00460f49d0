// Reads a session object so that C_CreateObject can make the same one in another login domain's worker.
#pragma once

#include "calls/templates.h"

namespace p11shim {

// Writes the template. CKR_KEY_UNEXTRACTABLE: the object does not show all that makes it what it is, or bears a restriction
// that a copy could not be given.
CK_RV read_out(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Out& out);

}  // namespace p11shim
