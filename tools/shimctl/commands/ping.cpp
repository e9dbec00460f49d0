#include "tools/shimctl/commands/ping.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/member_text.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/table.h"
#include "tools/shimctl/output/terminal.h"

namespace p11shim {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

struct Options {
  unsigned count = 3;
};

// proxyd itself, if it has no member.
struct Target {
  std::string pool;
  std::string member;
  unsigned sent = 0;
  std::vector<std::uint64_t> round_trips;  // nanoseconds, of those that came back well
  std::string error;                       // the latest

  std::string name() const { return member_text(pool, member); }
  bool is_well() const { return round_trips.size() == sent; }
  std::uint64_t min() const { return *std::min_element(round_trips.begin(), round_trips.end()); }
  std::uint64_t max() const { return *std::max_element(round_trips.begin(), round_trips.end()); }
  std::uint64_t average() const {
    std::uint64_t sum = 0;
    for (const auto time : round_trips) sum += time;
    return sum / round_trips.size();
  }
};

// What went wrong on the far side of proxyd; none if nothing did.
std::string member_error(const json& reply) {
  return reply.value("rv", std::uint64_t{0}) == 0 ? "" : reply.value("rv_name", "unknown error");
}

void ping(ControlClient& client, Target& target) {
  const json arguments =
      target.member.empty() ? json::object() : json{{"pool", target.pool}, {"member", target.member}};
  ++target.sent;
  const auto start = Clock::now();
  try {
    const json reply = client.ask("ping", arguments);
    const auto time = std::chrono::nanoseconds(Clock::now() - start).count();
    const std::string error = member_error(reply);
    if (error.empty()) return target.round_trips.push_back(static_cast<std::uint64_t>(time));
    target.error = error;
  } catch (const Failure& failure) {
    if (target.member.empty() || failure.code() == ExitCode::kUnreachable) throw;
    target.error = failure.what();
  }
}

std::vector<Target> targets_of(const json& status) {
  std::vector<Target> targets(1);
  for (const auto& member : status.at("members")) {
    targets.push_back({.pool = member.at("pool"), .member = member.at("member"), .round_trips = {}, .error = ""});
  }
  return targets;
}

Report report_of(const std::vector<Target>& targets) {
  Report report{.name = "ping",
                .rows_key = "targets",
                .columns = {{"TARGET", "target"},
                            {"SENT", "sent"},
                            {"FAILED", "failed"},
                            {"MIN", "min_ns"},
                            {"AVG", "avg_ns"},
                            {"MAX", "max_ns"},
                            {"ERROR", "error"}}};
  for (const auto& target : targets) {
    Value row;
    row.set("target", target.name()).set("sent", target.sent);
    row.set("failed", target.sent - target.round_trips.size()).set("error", target.error);
    if (!target.member.empty()) row.set("pool", target.pool).set("member", target.member);
    if (!target.round_trips.empty()) {
      row.set("min_ns", target.min()).set("avg_ns", target.average()).set("max_ns", target.max());
    }
    report.rows.push_back(std::move(row));
  }
  return report;
}

void write_table(std::ostream& out, const std::vector<Target>& targets) {
  Table table({{"TARGET"},
               {"SENT", Align::kRight},
               {"FAILED", Align::kRight},
               {"MIN", Align::kRight},
               {"AVG", Align::kRight},
               {"MAX", Align::kRight},
               {"ERROR"}});
  for (const auto& target : targets) {
    const bool any = !target.round_trips.empty();
    table.add_row({target.name(), std::to_string(target.sent), std::to_string(target.sent - target.round_trips.size()),
                   any ? duration_text(target.min()) : "-", any ? duration_text(target.average()) : "-",
                   any ? duration_text(target.max()) : "-", target.error});
  }
  table.write(out, wants_colour(STDOUT_FILENO));
}

ExitCode run(const Invocation& invocation, const Options& options) {
  ControlClient client(invocation.control_path);
  auto targets = targets_of(client.ask("status"));
  for (unsigned i = 0; i < options.count; ++i) {
    for (auto& target : targets) ping(client, target);
  }
  if (invocation.format == OutputFormat::kTable) {
    write_table(invocation.out, targets);
  } else {
    present(invocation, report_of(targets));
  }
  const bool well = std::all_of(targets.begin(), targets.end(), [](const Target& target) { return target.is_well(); });
  return well ? ExitCode::kOk : ExitCode::kNegative;
}

}  // namespace

void add_ping(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("ping", "Measure the round trip to proxyd and to each member");
  const auto options = std::make_shared<Options>();  // lives as long as the parser's callbacks
  command->add_option("-c,--count", options->count, "Pings per target")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str();
  command->footer(
      "Examples:\n  shimctl ping\n  shimctl ping -c 100 -o json\n\nExits with 1 if a member does not "
      "answer.");
  command->callback(
      [&invocation, options] { invocation.command = [&invocation, options] { return run(invocation, *options); }; });
}

}  // namespace p11shim
