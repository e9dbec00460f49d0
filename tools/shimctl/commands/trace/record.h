// shimctl trace -- COMMAND
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

// Runs the command with the recording module in front of the chosen one (or of the shim); the calls are
// appended to `file`. Its exit code is the command's own.
int record_command(const Invocation& invocation, const std::string& file);

}  // namespace p11shim
