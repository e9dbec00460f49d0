// shimctl info, slot, token, mech: what a module and its tokens are.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_info_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
