// shimctl pool sync: what members owe each other, and having differences repaired.
#pragma once

#include <string>

#include "tools/shimctl/exit_code.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

struct SyncOptions {
  std::string pool;
  bool dry_run = false;
};

ExitCode sync_pool(const Invocation& invocation, const SyncOptions& options);

}  // namespace p11shim
