// shimctl stats: what was called, how often, how it ended and how long it took; once, or live.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_stats(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
