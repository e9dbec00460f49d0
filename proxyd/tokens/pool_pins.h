// PINs of a pool of several members: changed on all of them, one after the other, or not begun. If a later member refuses
// or fails what the first has done the log names it, and the application is told that it failed: nobody can take the first
// change back without knowing whether the old PIN is still accepted.
#pragma once

#include <functional>

#include "pkcs11/cryptoki.h"
#include "wire/buffer.h"

namespace p11shim {

class Pool;

enum class PinDomain : std::uint8_t { nobody, user, so };  // who is logged in
using PinDone = std::function<void(CK_RV)>;

// C_SetPIN or C_InitPIN with the application's body.
void change_pins(Pool& pool, PinDomain domain, std::uint32_t call, Buffer body, PinDone done);
// The security officer, on all members or on none. `pin` and `user_name` as in LoginDomain::log_in.
void log_in_so(Pool& pool, Buffer pin, Buffer user_name, PinDone done);
void log_out_so(Pool& pool, std::function<void()> done);

// C_InitToken on every member, with the application's body. Nobody has a session on the pool. Members keep the label by which the
// configuration finds them; those that it finds otherwise get the one that the application gives.
void init_tokens(Pool& pool, Buffer body, PinDone done);

}  // namespace p11shim
