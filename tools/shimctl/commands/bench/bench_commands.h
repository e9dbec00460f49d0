// bench: list, run, stress, mix, suite, sweep, capacity, compare, report.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_bench_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
