// A piece of a test in a process of its own: a fresh module, an environment of its own, and a crash or a hang
// there is an answer, not the end of the test.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "backend.h"

namespace p11shim::compare {

struct ChildEnd {
  std::string output;   // what it wrote to the descriptor
  std::string failure;  // empty, "signal 11", "exit 1: …", "deadline passed"
  std::string log;      // of the proxyd that it went through, if it did
};

// Forks; the child sets `environment`, calls `work` with a descriptor to write to, and leaves without running
// exit handlers. An exception becomes the failure. The child is killed at the deadline, or when we die.
ChildEnd run_in_child(const Environment& environment, std::chrono::seconds deadline,
                      const std::function<void(int fd)>& work);

}  // namespace p11shim::compare
