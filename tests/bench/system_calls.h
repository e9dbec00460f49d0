// Counts system calls with strace, of the client and of the servers.
#pragma once

#include <optional>

#include "target.h"

namespace p11shim {

bool can_count_system_calls();
// Of one operation on one thread, over so many; nothing if the processes may not be traced.
std::optional<SystemCalls> count_system_calls(Target& target, std::string_view workload, unsigned operations,
                                              const std::filesystem::path& folder);

}  // namespace p11shim
