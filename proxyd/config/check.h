// What a configuration claims about this machine: modules, directories, PIN sources, users and groups. For
// `proxyd --check`, which prints all of it, and for proxyd's start.
#pragma once

#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

// Looks up the names in access lists, so that they begin to select somebody. Before compare(), too: a name
// may now belong to another id. Unknown names are warnings: they select nobody.
std::vector<ConfigProblem> resolve_accounts(Config& config);

std::vector<ConfigProblem> check_machine(const Config& config);

}  // namespace p11shim
