// YAML as the same tree that parse_toml() makes, with places.
#pragma once

#include <string>

#include "config/value.h"

namespace p11shim {

// A syntax error, an alias or nesting too deep is reported, and ends the file.
ConfigValue parse_yaml(const std::string& text, ConfigReport& report);

}  // namespace p11shim
