// shimctl explain-error: what a return code means, why it comes and what to do.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/commands/explain/live_counts.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ExplainErrorOptions {
  std::vector<std::string> codes;  // as written; "-": read standard input
  std::string context;
  std::vector<std::string> profiles;  // TOML files
  Live live = Live::kIfThere;
  bool list = false;  // all that is known
};

ExitCode explain_error(const Invocation& invocation, const ExplainErrorOptions& options);

}  // namespace p11shim
