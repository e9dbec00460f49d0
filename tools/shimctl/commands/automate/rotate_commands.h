// rotate plan, run, status: new keys under the old names. The key that applications use keeps its label; what it was
// before is called name@v1, name@v2, …
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_rotate_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
