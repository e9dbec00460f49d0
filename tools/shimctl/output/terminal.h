// Whether what we write is looked at by a person.
#pragma once

namespace p11shim {

// A terminal that takes colours and cursor movements, and a user who did not object (NO_COLOR).
bool is_terminal(int descriptor);
bool wants_colour(int descriptor);

}  // namespace p11shim
