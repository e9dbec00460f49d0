// The PIN that proxyd itself logs in with (login = "daemon").
#pragma once

#include "proxyd/config/config.h"
#include "wire/buffer.h"

namespace p11shim {

// Reads it from the configured file, systemd credential or command (whose first line of output it is; run once, at start,
// without a shell). Throws std::runtime_error with words for the operator, which never hold the PIN.
Buffer read_own_pin(const MemberConfig& member);

}  // namespace p11shim
