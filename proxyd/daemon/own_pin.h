// The PIN that proxyd itself logs in with (login = "daemon").
#pragma once

#include <chrono>

#include "proxyd/config/config.h"
#include "wire/buffer.h"

namespace p11shim {

// Reads it from the configured file, systemd credential or command (whose first line of output it is; run once, at start,
// without a shell). Throws std::runtime_error with words for the operator, which never hold the PIN.
// A command that takes longer than `longest` is killed.
Buffer read_own_pin(const MemberConfig& member, std::chrono::milliseconds longest = std::chrono::seconds(30));

}  // namespace p11shim
