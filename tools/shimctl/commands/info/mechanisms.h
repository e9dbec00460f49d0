// mech list.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct MechanismOptions {
  bool detailed = false;
  std::string filter;
  TokenChoice other;  // --diff
};
ExitCode list_mechanisms(const Invocation& invocation, const MechanismOptions& options);

}  // namespace p11shim
