// shimctl ping: the round trip to proxyd, and through it to each member.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_ping(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
