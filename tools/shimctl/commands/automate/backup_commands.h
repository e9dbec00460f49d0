// backup create, verify, restore.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "tools/shimctl/token/token_access.h"

namespace p11shim {

void add_backup_commands(CLI::App& root, Invocation& invocation);

// A bundle of the whole token under the KEK of this label, for commands that change keys. Notes where it is, who can
// open it and what is not in it.
struct BackupRequest {
  std::string kek;
  std::string sign_with;  // empty: not signed
  std::string file;
};
void write_backup(const Invocation& invocation, const Session& session, TokenAccess& access,
                  const BackupRequest& request);

}  // namespace p11shim
