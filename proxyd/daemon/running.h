// What a proxyd that runs with a configuration says of its pools: --check tells that too, since only who has loaded the
// modules knows the tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace p11shim {

// Problems, each one line: "pool signing: member a and member b have different firmware…". Nothing if nobody answers at
// `control`.
std::optional<std::vector<std::string>> problems_of_running(const std::string& control);

}  // namespace p11shim
