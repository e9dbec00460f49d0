// Why a command cannot go on: what failed, why, and what the user can do. Printed as one line.
#pragma once

#include <stdexcept>
#include <string>

#include "tools/shimctl/exit_code.h"

namespace p11shim {

class Failure : public std::runtime_error {
 public:
  // `fix` completes "…; try to": it may be empty.
  Failure(ExitCode code, const std::string& what_and_why, const std::string& fix)
      : std::runtime_error(fix.empty() ? what_and_why : what_and_why + " (" + fix + ")"), code_(code) {}

  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

}  // namespace p11shim
