// The configuration in a few lines, for `proxyd --check`: what would be listened on, loaded and shown, to
// whom.
#pragma once

#include <string>

#include "proxyd/config/config.h"

namespace p11shim {

std::string describe(const Config& config);

}  // namespace p11shim
