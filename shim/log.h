// One line to where the configuration says, for what an operator should know. Never blocks, never fails,
// keeps nothing open between lines, and does not touch syslog(3), whose state belongs to the application.
// Never given a secret.
#pragma once

#include <string_view>

#include "shim/config.h"

namespace p11shim {

inline bool logs(const ShimConfig& config, LogLevel level) noexcept {
  return level >= config.log_level && config.log_level != LogLevel::off && config.log.kind != ShimLogSink::Kind::off;
}

void log_line(const ShimConfig& config, LogLevel level, std::string_view text) noexcept;

}  // namespace p11shim
