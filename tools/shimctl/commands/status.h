// shimctl status: who is there: pools, members and their workers, applications.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_status(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
