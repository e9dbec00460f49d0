// shimctl pool and shimctl member: pools of several members as proxyd sees them, and what the operator wants of a member.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_pool_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
