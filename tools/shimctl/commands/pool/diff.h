// shimctl pool diff: which objects the members of a pool do not all have.
#pragma once

#include "tools/shimctl/commands/pool/pools.h"

namespace p11shim {

ExitCode diff_pool(const Invocation& invocation, const PoolOptions& options);

}  // namespace p11shim
