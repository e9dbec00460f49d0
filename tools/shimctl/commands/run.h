// shimctl run: one command with a private proxyd in front of a module.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_run(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
