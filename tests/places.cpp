#include "tests/places.h"

namespace p11shim {

std::string build_dir() { return P11TEST_BUILD_DIR; }
std::string source_dir() { return P11TEST_SOURCE_DIR; }

}  // namespace p11shim
