// Explained return codes as people and programs read them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/shimctl/commands/explain/live_counts.h"
#include "tools/shimctl/explain/knowledge.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ExplainedCode {
  std::string asked{};  // the user's word
  ReturnCodeText text{};
  std::optional<CodeCounts> live{};
};

// `context` "" is all of them.
void show_codes(const Invocation& invocation, const std::vector<ExplainedCode>& codes, const std::string& context);
// One line for each.
void show_code_list(const Invocation& invocation, const std::vector<ExplainedCode>& codes);

}  // namespace p11shim
