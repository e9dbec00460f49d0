// What proxyd does to its own process before it listens.
#pragma once

#include <string>

namespace p11shim {

// No core dumps, no debugger; no SIGPIPE; as many descriptors as the hard limit allows.
void confine_process();
// proxyd-worker, which sits beside this program. Throws std::runtime_error if it does not.
std::string find_worker_program();

}  // namespace p11shim
