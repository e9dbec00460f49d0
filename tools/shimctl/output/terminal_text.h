// Text from outside (labels, names of programs, logs) that must not play tricks on the terminal it is shown
// on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace p11shim {

// `text` with each control character and each byte that is not UTF-8 shown as "\x1b".
std::string terminal_text(std::string_view text);

// How many columns of a terminal the UTF-8 `text` takes, if none of its characters is wide or combining.
std::size_t display_width(std::string_view text);

// `text`, or its beginning and "…", in at most `width` columns.
std::string shortened(std::string_view text, std::size_t width);

}  // namespace p11shim
