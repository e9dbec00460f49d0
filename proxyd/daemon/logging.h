// proxyd's log: text for people and journald, or one JSON object a line; on stderr or in a file.
#pragma once

#include <spdlog/logger.h>

#include <memory>

#include "proxyd/config/config.h"

namespace p11shim {

spdlog::level::level_enum spdlog_level(LogLevel level);
// Throws std::runtime_error if the file cannot be written.
std::shared_ptr<spdlog::logger> make_log(const LogConfig& config);

// After its file was moved away.
void reopen_log(spdlog::logger& log);

// Each in a line of its own, as loud as it is grave.
void log_problems(spdlog::logger& log, const std::vector<ConfigProblem>& problems);

}  // namespace p11shim
