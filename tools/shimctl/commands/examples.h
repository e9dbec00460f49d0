// An example for each command, at the end of its --help and in the manual page.
#pragma once

#include <CLI/App.hpp>

namespace p11shim {

// For commands that have no footer of their own; call it when all commands are there.
void add_examples(CLI::App& root);

}  // namespace p11shim
