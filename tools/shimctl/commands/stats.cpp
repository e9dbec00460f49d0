#include "tools/shimctl/commands/stats.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "config/quantity.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/commands/stats_rows.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/output/member_text.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/terminal_text.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

const std::map<std::string, StatsSubject> kSubjects{{"function", StatsSubject::kFunctions},
                                                    {"mechanism", StatsSubject::kMechanisms},
                                                    {"client", StatsSubject::kClients}};

struct Options {
  StatsSubject subject = StatsSubject::kFunctions;
  std::string stage = "total";
  std::optional<std::chrono::milliseconds> interval;
  unsigned count = 0;  // of intervals; 0: until interrupted
  bool raw = false;
};

// While it lives, SIGINT and SIGTERM end the wait instead of the process, so that the terminal can be put
// right.
class Pause {
 public:
  Pause() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  }
  ~Pause() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

  // False if the user wants to stop.
  bool wait(std::chrono::milliseconds duration) const {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(duration - seconds).count()};
    return ::sigtimedwait(&signals_, nullptr, &time) < 0;
  }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

// A screen that is drawn over and over, on the terminal's second page; plain blocks of text where there is no
// terminal.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out), live_(is_terminal(STDOUT_FILENO)) {
    if (live_) out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
  }
  ~Screen() {
    if (live_) out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void draw(const std::string& text) {
    out_ << (live_ ? "\x1b[H\x1b[J" + first_lines(text) : text + '\n') << std::flush;
  }

 private:
  // More lines than the terminal has would scroll the first ones away.
  static std::string first_lines(const std::string& text) {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 2) return text;
    std::size_t end = 0;
    for (unsigned line = 1; line < size.ws_row && end != std::string::npos; ++line) end = text.find('\n', end + 1);
    return text.substr(0, end);
  }

  std::ostream& out_;
  bool live_;
};

// Percentiles of the rows that a table would show.
Report report_of(const json& interval, OutputFormat format) {
  Report report{.name = "stats.interval", .data = value_of(interval)};
  if (format != OutputFormat::kCsv && format != OutputFormat::kPlain) return report;
  report.data = Value::Record{};
  report.rows_key = "rows";
  for (const char* key : {"where", "name", "calls", "failed", "latency.p50_ns", "latency.p90_ns", "latency.p99_ns",
                          "latency.p999_ns", "latency.max_ns"}) {
    report.columns.push_back({key, key});
  }
  for (const auto& row : interval.at("rows")) report.rows.push_back(value_of(row));
  return report;
}

json to_json(const StatsRows& rows, double seconds) {
  json entries = json::array();
  for (const auto& [key, row] : rows) {
    entries.push_back({{"where", key.first},
                       {"name", key.second},
                       {"calls", row.calls},
                       {"failed", row.failed},
                       {"errors", row.errors},
                       {"latency", row.latency.summary()}});
  }
  return {{"seconds", seconds}, {"rows", entries}};
}

// Calls that were made on a second member because they took long on the first.
void write_hedges(std::ostream& out, const json& snapshot) {
  for (const auto& member : snapshot.value("members", json::array())) {
    const auto made = member.value("hedges", std::uint64_t{0});
    if (made == 0) continue;
    out << "\nhedges on " << terminal_text(member_text(member.value("pool", ""), member.value("member", ""))) << ": "
        << made << ", faster in " << member.value("hedges_won", std::uint64_t{0}) << '\n';
  }
}

json ask(ControlClient& client, bool raw) { return client.ask("stats", {{"raw", raw}}); }

ExitCode watch(const Invocation& invocation, const Options& options) {
  const Pause pause;
  ControlClient client(invocation.control_path);
  auto before = read_rows(ask(client, true), options.subject, options.stage);
  auto time = Clock::now();
  std::optional<Screen> screen;
  if (invocation.format == OutputFormat::kTable) screen.emplace(invocation.out);
  for (unsigned shown = 0; options.count == 0 || shown < options.count; ++shown) {
    if (!pause.wait(*options.interval)) break;
    auto now = read_rows(ask(client, true), options.subject, options.stage);
    const auto change = rows_since(now, before);
    const double seconds = std::chrono::duration<double>(Clock::now() - std::exchange(time, Clock::now())).count();
    before = std::move(now);
    if (!screen) {
      const auto format = invocation.format == OutputFormat::kJson ? OutputFormat::kNdjson : invocation.format;
      write_report(invocation.out, report_of(to_json(change, seconds), format), {.format = format});
      if (!invocation.out.flush()) break;  // nobody reads it any more
      continue;
    }
    std::ostringstream text;
    text << "proxyd's calls in the last " << duration_text(static_cast<std::uint64_t>(seconds * 1e9)) << ", "
         << options.stage << " time\n\n";
    write_rows(text, change, {.subject = options.subject, .seconds = seconds, .emphasis = wants_colour(STDOUT_FILENO)});
    screen->draw(text.str());
  }
  return ExitCode::kOk;
}

ExitCode run(const Invocation& invocation, const Options& options) {
  if (options.interval) return watch(invocation, options);
  ControlClient client(invocation.control_path);
  const OutputFormat format = invocation.format;
  if (format == OutputFormat::kCsv || format == OutputFormat::kPlain) {
    const auto rows = read_rows(ask(client, true), options.subject, options.stage);
    present(invocation, report_of(to_json(rows, 0), format));
    return ExitCode::kOk;
  }
  if (format != OutputFormat::kTable) {
    present(invocation, {.name = "stats", .data = value_of(ask(client, options.raw))});
    return ExitCode::kOk;
  }
  const json snapshot = ask(client, true);
  write_rows(invocation.out, read_rows(snapshot, options.subject, options.stage),
             {.subject = options.subject, .emphasis = wants_colour(STDOUT_FILENO)});
  if (options.subject == StatsSubject::kFunctions) write_hedges(invocation.out, snapshot);
  return ExitCode::kOk;
}

}  // namespace

void add_stats(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("stats", "Show calls, errors and latencies by function and member");
  const auto options = std::make_shared<Options>();  // lives as long as the parser's callbacks
  takes_one_of(command->add_option("--by", options->subject, "function, mechanism or client"), kSubjects)
      ->option_text("WHAT");
  command->add_option("--stage", options->stage, "total, hsm or queue")
      ->check(CLI::IsMember({"total", "hsm", "queue"}))
      ->capture_default_str();
  command
      ->add_option_function<std::string>(
          "--watch", [options](const std::string& text) { options->interval = parse_duration(text); },
          "Show what happens in each interval (1s, 500ms), until interrupted")
      ->check([](const std::string& text) {
        const auto interval = parse_duration(text);
        const bool sound = interval && interval->count() > 0;
        return sound ? std::string() : "expected a time such as 1s or 500ms";
      })
      ->option_text("TIME");
  command->add_option("-c,--count", options->count, "With --watch: stop after so many intervals");
  command->add_flag("--raw", options->raw, "With -o json: whole histograms, which can be added up");
  command->footer(
      "Examples:\n  shimctl stats\n  shimctl stats --watch 1s\n  shimctl stats --by client\n"
      "  shimctl stats --stage hsm -o json");
  command->callback(
      [&invocation, options] { invocation.command = [&invocation, options] { return run(invocation, *options); }; });
}

}  // namespace p11shim
