// Every command of shimctl.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_all_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
