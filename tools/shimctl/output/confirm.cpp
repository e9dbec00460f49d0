#include "tools/shimctl/output/confirm.h"

#include <unistd.h>

#include <iostream>

#include "config/problem.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

void confirm(const Invocation& invocation, const std::string& what, const std::string& answer) {
  if (invocation.yes) return;
  if (::isatty(STDIN_FILENO) == 1) {
    invocation.err << "This " << printable(what) << ". Type " << printable(answer) << " to go on: " << std::flush;
    std::string typed;
    std::getline(std::cin, typed);
    if (typed == answer) return;
    throw Failure(ExitCode::kUsage, "nothing was done: " + in_quotes(answer) + " was not typed", "");
  }
  throw Failure(ExitCode::kUsage, "this " + what + ", and nobody is there to be asked", "say --yes, or try --dry-run");
}

}  // namespace p11shim
