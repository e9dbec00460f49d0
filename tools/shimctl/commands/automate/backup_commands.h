// backup create, verify, restore.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "tools/shimctl/token/token_access.h"

namespace p11shim {

void add_backup_commands(CLI::App& root, Invocation& invocation);

// A bundle of the whole token under the KEK of this label, for commands that change keys. Returns how many
// keys could not be exported.
std::size_t write_backup(const Session& session, TokenAccess& access, const std::string& kek, const std::string& file);

}  // namespace p11shim
