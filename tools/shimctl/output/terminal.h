// Whether what we write is looked at by a person.
#pragma once

#include <cstddef>

namespace p11shim {

// A terminal that takes colours and cursor movements, and a user who did not object (NO_COLOR).
bool is_terminal(int descriptor);
bool wants_colour(int descriptor);

// Columns and lines of what standard output shows: $COLUMNS, or the terminal's own; 0 if nobody looks.
std::size_t terminal_columns();
std::size_t terminal_lines();

}  // namespace p11shim
