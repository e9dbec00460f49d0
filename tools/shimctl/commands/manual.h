// shimctl manual: the manual page, made of the command line's own tree. Not shown in help: `make man` uses
// it.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_manual(CLI::App& root, Invocation& invocation);

// For roff: text that starts no request and keeps its hyphens and backslashes.
std::string roff_text(const std::string& text);

}  // namespace p11shim
