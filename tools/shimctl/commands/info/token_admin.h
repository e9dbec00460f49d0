// token init, init-pin, set-pin and wipe.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct TokenAdminOptions {
  std::string label;         // init: the new token's
  std::string new_pin_from;  // init-pin, set-pin
  bool so = false;           // set-pin: the security officer's own
};
ExitCode initialize_token(const Invocation& invocation, const TokenAdminOptions& options);
ExitCode initialize_pin(const Invocation& invocation, const TokenAdminOptions& options);
ExitCode change_pin(const Invocation& invocation, const TokenAdminOptions& options);
ExitCode wipe_token(const Invocation& invocation, const TokenAdminOptions& options);

}  // namespace p11shim
