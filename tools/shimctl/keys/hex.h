// Bytes as people write them: "0a1b", "0x0a1b", "0A:1B".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace p11shim {

std::string hex(std::string_view bytes);
std::optional<std::string> parse_hex(std::string_view text);

}  // namespace p11shim
