// shimctl explain mech|attr|fn|check: what a mechanism, an attribute, a function or a check of doctor and audit is.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ExplainNameOptions {
  std::string name;  // empty: all, one line for each
};

ExitCode explain_mechanism(const Invocation& invocation, const ExplainNameOptions& options);
ExitCode explain_attribute(const Invocation& invocation, const ExplainNameOptions& options);
ExitCode explain_check(const Invocation& invocation, const ExplainNameOptions& options);
ExitCode explain_function(const Invocation& invocation, const ExplainNameOptions& options);

}  // namespace p11shim
