// Numbers as people read them: three digits that matter, and a unit.
#pragma once

#include <cstdint>
#include <string>

namespace p11shim {

std::string duration_text(std::uint64_t nanoseconds);  // "870 ns", "12.3 µs", "4.56 ms", "1.50 s"
std::string age_text(double seconds);                  // "42 s", "3 min", "5.2 h", "12 d"
std::string rate_text(double per_second);              // "0", "0.4", "12", "48210"

}  // namespace p11shim
