// shimctl explain mech|attr|fn: what a mechanism, an attribute or a function is.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ExplainNameOptions {
  std::string name;  // empty: all, one line for each
};

ExitCode explain_mechanism(const Invocation& invocation, const ExplainNameOptions& options);
ExitCode explain_attribute(const Invocation& invocation, const ExplainNameOptions& options);
ExitCode explain_function(const Invocation& invocation, const ExplainNameOptions& options);

}  // namespace p11shim
