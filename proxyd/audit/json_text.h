// Text of unknown origin as a JSON string literal that is pure printable ASCII: an object's label or a
// program's name may hold anything, and must neither break the line nor reach an operator's terminal as
// control characters.
#pragma once

#include <string>
#include <string_view>

namespace p11shim {

// Appends `text` with its quotes. Read as UTF-8; every byte that is not part of valid UTF-8 becomes U+FFFD.
void append_json_text(std::string& out, std::string_view text);

}  // namespace p11shim
