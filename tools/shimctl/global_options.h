// The options that every command has, before it and after it; and the words of a command line that are no
// command.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_global_options(CLI::App& app, Invocation& invocation);

// Throws Failure (kUsage) for a word that stands where a command or its verb must be, with the nearest one.
void check_command_names(const CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace p11shim
