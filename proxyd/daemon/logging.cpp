#include "proxyd/daemon/logging.h"

#include <fcntl.h>
#include <spdlog/details/file_helper.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "config/problem.h"
#include "proxyd/audit/json_text.h"

namespace p11shim {
namespace {

// A message may quote what comes from outside: labels that applications chose, names of their programs. It stays one line, and a
// terminal obeys none of it.
class PlainMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<PlainMessage>(); }
};

// The same as a JSON string.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    std::string quoted;
    append_json_text(quoted, {message.payload.data(), message.payload.size()});
    to.append(quoted.data(), quoted.data() + quoted.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonMessage>(); }
};

// A file that may be moved away, for it is made anew by reopen(). Not for everybody: it names users, programs and keys.
class LogFile final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) { reopen(); }
  // Throws spdlog_ex; then it goes on as before.
  void reopen() {
    constexpr mode_t kMode = 0640;
    const int made = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode);
    if (made >= 0) ::close(made);
    auto file = std::make_unique<spdlog::details::file_helper>();
    file->open(path_);
    file_ = std::move(file);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    file_->write(line);
  }
  void flush_() override { file_->flush(); }

  const std::string path_;
  std::unique_ptr<spdlog::details::file_helper> file_;
};

// journald adds its own time stamp.
bool under_journald() { return std::getenv("JOURNAL_STREAM") != nullptr && ::isatty(STDERR_FILENO) == 0; }

}  // namespace

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::trace: return spdlog::level::trace;
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    case LogLevel::off: break;
  }
  return spdlog::level::off;
}

std::shared_ptr<spdlog::logger> make_log(const LogConfig& config) {
  spdlog::sink_ptr sink;
  try {
    if (config.file.empty()) sink = std::make_shared<spdlog::sinks::stderr_color_sink_st>();
    else sink = std::make_shared<LogFile>(config.file);
  } catch (const spdlog::spdlog_ex& error) {
    throw std::runtime_error("cannot write the log " + config.file + ": " + error.what());
  }
  auto log = std::make_shared<spdlog::logger>("proxyd", std::move(sink));
  log->set_level(spdlog_level(config.level));
  log->flush_on(spdlog::level::info);
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (config.format == LogFormat::json)
    formatter->add_flag<JsonMessage>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","pid":%P,"message":%*})");
  else
    formatter->add_flag<PlainMessage>('*').set_pattern(under_journald() ? "%l: %*" : "%Y-%m-%d %H:%M:%S.%e %^%l%$ %*");
  log->set_formatter(std::move(formatter));
  return log;
}

void reopen_log(spdlog::logger& log) {
  for (const spdlog::sink_ptr& sink : log.sinks()) {
    auto* file = dynamic_cast<LogFile*>(sink.get());
    if (file == nullptr) continue;
    try {
      file->reopen();
    } catch (const spdlog::spdlog_ex& error) {
      log.error("the log is not opened anew: {}", error.what());
    }
  }
}

void log_problems(spdlog::logger& log, const std::vector<ConfigProblem>& problems) {
  for (const ConfigProblem& problem : problems)
    log.log(problem.severity == ConfigProblem::Severity::error ? spdlog::level::err : spdlog::level::warn, "{}",
            to_string(problem));
}

}  // namespace p11shim
