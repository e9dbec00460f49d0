// What one key alone cannot tell: references between sections, keys that exclude or need each other, and
// settings that are allowed but deserve a warning.
#pragma once

#include "proxyd/config/config.h"

namespace p11shim {

// Also fills in the defaults that depend on other keys (a pool's label, lanes of a module that is not
// thread-safe, set_pin of a pool that logs in by itself).
void apply_rules(Config& config, ConfigReport& report);

}  // namespace p11shim
