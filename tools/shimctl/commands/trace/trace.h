// shimctl trace: record what an application calls, and add up what was recorded.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_trace(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
