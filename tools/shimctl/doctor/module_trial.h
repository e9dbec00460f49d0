// Loads a module in a child process, where it may crash or hang as it likes.
#pragma once

#include <chrono>
#include <string>

namespace p11shim {

// Empty if it was loaded, initialised and finalised; otherwise what came of it: "crashes with signal 11".
std::string try_module(const std::string& path, const std::string& library_parameters,
                       std::chrono::milliseconds patience);

}  // namespace p11shim
