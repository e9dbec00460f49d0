// Where Debian has a library of this machine's kind.
#pragma once

#include <string>
#include <string_view>

namespace p11shim {

#if defined(__aarch64__)
inline constexpr std::string_view kMultiarch = "aarch64-linux-gnu";
#else
inline constexpr std::string_view kMultiarch = "x86_64-linux-gnu";
#endif

inline std::string system_library(std::string_view name) {
  return "/usr/lib/" + std::string(kMultiarch) + "/" + std::string(name);
}

}  // namespace p11shim
