// key copy --to: a key to another token, of this module or of another.
#pragma once

#include "tools/shimctl/commands/key/change.h"

namespace p11shim {

ExitCode migrate_key(const Invocation& invocation, const ChangeOptions& options);

}  // namespace p11shim
