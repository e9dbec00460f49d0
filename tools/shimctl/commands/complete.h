// shimctl complete -- WORD…: what the last word may become, for the shells' completion.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_complete(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
