#include "tools/shimctl/run/private_proxyd.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <regex>
#include <string_view>
#include <system_error>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/terminal_text.h"
#include "tools/shimctl/run/ready_socket.h"

namespace p11shim {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kLastLines = 12;

std::chrono::milliseconds left(Clock::time_point deadline) {
  return std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
}

}  // namespace

PrivatePlaces PrivateProxyd::places_in(const PrivateFolder& folder) {
  return {.endpoint = folder / "proxyd.sock", .control = folder / "control.sock", .state = folder / "state"};
}

PrivateProxyd::PrivateProxyd(const fs::path& program, const PrivateFolder& folder, const std::string& config,
                             const SignalWatch& signals)
    : log_(folder / "proxyd.log"), signals_(signals) {
  const fs::path file = folder / "proxyd.toml";
  std::ofstream(file) << config;
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_directory(places_in(folder).state);
  fs::permissions(places_in(folder).state, fs::perms::owner_all);

  ReadySocket ready(folder / "notify.sock");
  ChildOptions options;
  options.arguments = {program.string(), "--config", file.string()};
  options.variables["NOTIFY_SOCKET"] = ready.path().string();
  // If we are a service ourselves, these are about us.
  for (const char* ours : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    options.variables[ours] = std::nullopt;
  }
  options.blocked_signals = signals.blocked_before();
  options.service_log = log_.string();
  try {
    process_ = std::make_unique<ChildProcess>(options);
  } catch (const ChildProcess::NotExecuted& reason) {
    throw Failure(ExitCode::kConfiguration,
                  "cannot execute " + program.string() + ": " + std::generic_category().message(reason.error), "");
  }
  wait_until_ready(ready);
}

void PrivateProxyd::wait_until_ready(ReadySocket& ready) {
  const auto deadline = Clock::now() + kStartPatience;
  while (!ready.is_ready()) {
    if (has_ended()) throw Failure(ExitCode::kConfiguration, "proxyd did not start:" + last_words(), "");
    if (left(deadline).count() <= 0) {
      throw Failure(ExitCode::kUnreachable, "proxyd was not ready in time:" + last_words(), "");
    }
    signals_.wait(ready.descriptor(), left(deadline));
    while (const auto signal = signals_.take()) {
      if (signal->asks_to_end()) throw Interrupted{signal->number};
    }
  }
}

PrivateProxyd::~PrivateProxyd() {
  if (!process_) return;
  process_->signal(SIGTERM);
  const auto deadline = Clock::now() + kStopPatience;
  // Signals that ask us to end find us doing so.
  while (!has_ended() && left(deadline).count() > 0) {
    signals_.wait(-1, left(deadline));
    while (signals_.take()) {
    }
  }
}

std::string PrivateProxyd::last_words() const {
  std::deque<std::string> lines;
  std::ifstream log(log_);
  for (std::string line; std::getline(log, line);) {
    lines.push_back(terminal_text(line));
    if (lines.size() > kLastLines) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text.empty() ? " it said nothing" : text;
}

std::vector<std::string> PrivateProxyd::new_errors() {
  constexpr std::string_view kLevel = " error ";  // "2026-11-20 12:00:00.000 error …"
  constexpr std::size_t kMost = 5;
  // The configuration is ours, and its lines tell the user nothing.
  static const std::regex kPlace("^/[^ ]*/proxyd\\.toml:[0-9]+:[0-9]+: ");
  std::vector<std::string> found;
  std::ifstream log(log_);
  for (std::string line; std::getline(log, line) && found.size() < kMost;) {
    const auto level = line.find(kLevel);
    if (level == std::string::npos || line.find(' ') + 13 != level) continue;  // behind date and time
    std::string message = std::regex_replace(terminal_text(line.substr(level + kLevel.size())), kPlace, "");
    const auto covers = [&](const std::string& told) {
      return message.find(told) != std::string::npos || told.find(message) != std::string::npos;
    };
    if (std::any_of(told_.begin(), told_.end(), covers)) continue;
    told_.push_back(message);
    found.push_back(std::move(message));
  }
  return found;
}

}  // namespace p11shim
