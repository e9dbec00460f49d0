// What SIGHUP can do: compares the configuration that runs with the one now in the file.
#pragma once

#include <string>
#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

// Each a sentence for the log: `[log] level changes from "info" to "debug".`
struct ReloadPlan {
  std::vector<std::string> live;     // can be applied at once
  std::vector<std::string> restart;  // will be applied when proxyd is next started
  Config config;                     // the running one with the live changes: what to run from now on

  bool is_empty() const noexcept { return live.empty() && restart.empty(); }
};

// Modules, members and pools are the same if their names are; their order does not matter.
ReloadPlan compare(const Config& running, const Config& wanted);

}  // namespace p11shim
