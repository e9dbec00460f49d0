// What info, slot list, token list and token info answer.
#pragma once

#include "tools/pkcs11/module.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/invocation.h"
#include "tools/shimctl/output/value.h"

namespace p11shim {

ExitCode show_info(const Invocation& invocation, const NoOptions& options);
ExitCode list_slots(const Invocation& invocation, const NoOptions& options);
ExitCode list_tokens(const Invocation& invocation, const NoOptions& options);
ExitCode show_token(const Invocation& invocation, const NoOptions& options);

// ["RNG","LOGIN_REQUIRED"]
Value flag_names(NameKind kind, CK_FLAGS flags);

}  // namespace p11shim
