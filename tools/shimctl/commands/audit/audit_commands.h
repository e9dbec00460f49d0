// shimctl audit keys: what is weak, open or out of order among the keys of a token.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct AuditKeysOptions {
  std::string fail_on = "high";
  std::string snapshot;  // file that is written
  std::string diff;      // file that is compared with
  unsigned days = 30;    // until which a certificate "expires soon"
  std::vector<std::string> ignore;
};

ExitCode audit_token_keys(const Invocation& invocation, const AuditKeysOptions& options);

void add_audit_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
