// A vendor's return codes, from a TOML file:
//
//   vendor = "Example HSM"
//   [CKR_EXAMPLE_QUORUM]
//   value = 0x80000105
//   means = "Too few of the officers have approved."
//   fault = "authentication"
//   retry = "after-change"
//
// A table named like a code of the standard adds causes and fixes to it. The keys are those of data/codes_*.toml.
#pragma once

#include <string>
#include <vector>

#include "config/problem.h"
#include "tools/shimctl/explain/knowledge.h"

namespace p11shim {

// Adds the profile in `text` to `codes`, which stay ascending. Nothing is added if there are problems.
std::vector<ConfigProblem> add_profile(const std::string& file, std::string_view text,
                                       std::vector<ReturnCodeText>& codes);

}  // namespace p11shim
