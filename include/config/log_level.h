// How much proxyd and the shim say. One list for both, so that an operator learns the words once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace p11shim {

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error, off };

inline constexpr std::array<std::pair<std::string_view, LogLevel>, 6> kLogLevels{{{"trace", LogLevel::trace},
                                                                                  {"debug", LogLevel::debug},
                                                                                  {"info", LogLevel::info},
                                                                                  {"warning", LogLevel::warning},
                                                                                  {"error", LogLevel::error},
                                                                                  {"off", LogLevel::off}}};

}  // namespace p11shim
