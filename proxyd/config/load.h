// Reads proxyd's configuration file. What is returned is complete and consistent in itself (every name that
// is referred to exists, no two things share a name); what it says about this machine is checked by check.h.
#pragma once

#include <string>
#include <string_view>

#include "proxyd/config/config.h"

namespace p11shim {

// `file` is what messages call it.
ConfigResult<Config> parse_config(std::string_view text, const std::string& file);

// Refuses a file that others than its owner can change, or that belongs to somebody else than root or the
// caller: it names programs and libraries that run with the PINs in reach.
ConfigResult<Config> load_config_file(const std::string& path);

}  // namespace p11shim
