// What all commands of one shimctl process share: where they write, in which form, and whom they ask.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tools/shimctl/exit_code.h"
#include "tools/shimctl/output/format.h"

namespace p11shim {

struct Invocation {
  std::ostream& out;  // data only
  std::ostream& err;
  OutputFormat format = OutputFormat::kTable;
  std::string control_path;
  std::vector<std::string> command_line;  // of another program: what followed "--"

  // Set by the command that was chosen; run when the whole command line is known.
  std::function<ExitCode()> command;
};

}  // namespace p11shim
