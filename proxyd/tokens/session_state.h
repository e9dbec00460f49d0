// Asks a worker's module whether its process is logged in as the user still.
#pragma once

#include <functional>

#include "proxyd/tokens/place.h"

namespace p11shim {

// False: it is not, or has not said.
void ask_whether_logged_in(Place& place, std::function<void(bool is_logged_in)> then);

}  // namespace p11shim
