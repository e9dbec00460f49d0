// Tells whether a file is a PKCS#11 module for this process, by reading its ELF headers and nothing more:
// opening it with dlopen() would run its constructors, and proxyd itself never runs a vendor's code.
#pragma once

#include <string>

namespace p11shim {

// Empty if the open file is a shared object of this process's class, byte order and machine that exports
// `symbol`; otherwise what it is instead, to follow a path: "is a script, not a shared object".
std::string shared_object_problem(int fd, const char* symbol);

}  // namespace p11shim
