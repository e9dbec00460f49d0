// Modules that write beyond the buffers they are given. NSS softokn copies whole attribute values and lists whatever room
// the caller states; in an application that is the application's own loss, in a worker it would be everybody's.
#pragma once

#include "pkcs11/cryptoki.h"

namespace p11shim {

// Looks whether the module, which must be initialised, ignores the room in C_GetSlotList. If so, its functions that fill
// the caller's memory are replaced in `functions` by ones that first ask how much there is, and answer as the standard has
// it (§5.2, §5.7.5). One module per process.
void shield(CK_FUNCTION_LIST_3_0& functions);

}  // namespace p11shim
