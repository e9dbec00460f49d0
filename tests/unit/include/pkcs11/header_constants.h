// Reads the CK…_ constants out of C headers as text, without a compiler: an independent truth for the names.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace p11shim {

// Name to value, of every "#define CK?_NAME expression" whose expression is made of numbers, names defined
// before it, parentheses, |, + and <<. A file that cannot be read has none.
std::map<std::string, unsigned long> read_header_constants(const std::vector<std::string>& paths);

}  // namespace p11shim
