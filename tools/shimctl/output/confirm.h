// Asks before something is destroyed.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

// Returns if --yes was given or somebody at the terminal typed `answer`. Throws Failure (kUsage) otherwise.
void confirm(const Invocation& invocation, const std::string& what, const std::string& answer = "yes");

}  // namespace p11shim
