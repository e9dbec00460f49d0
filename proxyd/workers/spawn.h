// Starting and leaving worker processes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxyd/config/config.h"
#include "proxyd/loop/handles.h"
#include "proxyd/loop/socket_io.h"
#include "proxyd/workers/runtime.h"

namespace p11shim {

using WorkerExited = std::function<void(std::int64_t status, int signal)>;

struct SharedRings {
  int memory = -1;  // -1: none
  int bell = -1;    // of proxyd, for replies
};

// Starts proxyd-worker with two pipes for each of its `lanes`, a socket for `areas` and, if there are any, `rings`; the caller owns proxyd's ends of them. Null: `error` says why.
// `exited` is called once, unless the process was left before.
HandlePtr<uv_process_t> spawn_worker(Runtime& runtime, const Environment& environment, std::size_t lanes,
                                     std::vector<Stream>& streams, SharedRings rings, int& areas, std::string& error,
                                     WorkerExited exited);

// Nobody waits for this process any more. `politely`: its pipes are closed, so it finalises its module and leaves within
// its own time limit; otherwise it is killed. The loop does not end before it is gone.
void leave_worker(HandlePtr<uv_process_t> process, bool politely);

}  // namespace p11shim
