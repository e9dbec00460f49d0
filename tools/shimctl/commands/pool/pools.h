// shimctl pool list and show: what the pools are, how their members are and what became of them lately.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct PoolOptions {
  std::string pool;
};

ExitCode list_pools(const Invocation& invocation, const PoolOptions& options);
ExitCode show_pool(const Invocation& invocation, const PoolOptions& options);

}  // namespace p11shim
