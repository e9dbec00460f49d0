// What --check sees of the tokens of pools of several members where no proxyd runs that could tell: their modules are loaded
// by workers as proxyd does, and asked what tokens they have. Nobody logs in.
#pragma once

#include <string>
#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

// Problems, each one line: "pool signing: member a and member b have different firmware…". Takes ten seconds at the longest.
std::vector<std::string> problems_of_tokens(const Config& config, const std::string& worker_program);

}  // namespace p11shim
