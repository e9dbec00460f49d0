// Where the tests find what was built and the sources. Paths stay out of the tests' own compilation, so that a compiler
// cache can share it between working trees.
#pragma once

#include <string>

namespace p11shim {

std::string build_dir();
std::string source_dir();

}  // namespace p11shim
