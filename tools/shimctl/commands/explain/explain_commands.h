// shimctl explain-error, explain.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_explain_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
