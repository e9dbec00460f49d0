#include "tools/shimctl/commands/bench/bench_document.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "config/problem.h"
#include "tools/shimctl/bench/environment.h"
#include "tools/shimctl/bench/html_report.h"
#include "tools/shimctl/bench/machine_change.h"
#include "tools/shimctl/bench/result_table.h"
#include "tools/shimctl/bench/stress_table.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

void add_flat_percentiles(json& test) {
  const json& seen = seen_latency(test);
  const auto number = [&](double percent) {
    const double ns = percentile_in(seen, percent);
    return ns < 0 ? json() : json(ns);
  };
  test["p50_ns"] = number(50);
  test["p90_ns"] = number(90);
  test["p95_ns"] = number(95);
  test["p99_ns"] = number(99);
  test["p999_ns"] = number(99.9);
  const double uncorrected = percentile_in(test["latency"], 99);
  test["uncorrected_p99_ns"] = uncorrected < 0 ? json() : json(uncorrected);
}

void write_where(std::ostream& out, const json& tests) {
  Table table({{"TEST"},
               {"MEMBER"},
               {"FUNCTION"},
               {"CALLS", Align::kRight},
               {"SHIM+WAY", Align::kRight},
               {"PROXYD", Align::kRight},
               {"QUEUE", Align::kRight},
               {"HSM", Align::kRight}});
  bool unknown = false;
  const auto time = [](double ns) {
    return duration_text(static_cast<std::uint64_t>(std::llround(std::max(0.0, ns))));
  };
  for (const auto& test : tests) {
    if (!test.contains("where") || !test["where"].is_array()) continue;
    const json& whole = test["operation_time"];
    unknown = unknown || whole.is_null();
    if (!whole.is_null()) {
      table.add_row({test["name"], "", "the whole operation", whole["operations"].dump(), time(whole["shim_ns"]),
                     time(whole["proxyd_ns"]), time(whole["queue_ns"]), time(whole["hsm_ns"])});
    }
    for (const auto& row : test["where"]) {
      const double queue = row["queue_ns"];
      const double hsm = row["hsm_ns"];
      table.add_row({test["name"], row["member"], row["function"], row["calls"].dump(), "-",
                     time(row["total_ns"].get<double>() - queue - hsm), time(queue), time(hsm)});
    }
  }
  if (table.empty()) return;
  out << '\n';
  table.write(out);
  if (unknown)
    out << "what the shim and the way took is not known where proxyd served more, or other calls, than the bench's\n";
}

void write_fits(std::ostream& out, const json& fits) {
  for (const auto& fit : fits) {
    char text[96];
    std::snprintf(text, sizeof text, " fixed + %.3g ns per byte (r² %.3f)\n", fit["per_byte_ns"].get<double>(),
                  fit["r2"].get<double>());
    const double fixed = std::max(0.0, fit["fixed_ns"].get<double>());
    out << '\n' << fit["name"].get<std::string>() << ": " << duration_text(static_cast<std::uint64_t>(fixed)) << text;
  }
}

}  // namespace

void check_outputs(const BenchOutput& output) {
  for (const std::string& path : {output.save, output.report, output.prometheus}) {
    if (path.empty() || path == "-") continue;
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    const bool special = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
    const auto folder = std::filesystem::path(path).parent_path();
    // A file is replaced by a new one, a device is written to.
    const std::string written = special ? path : folder.empty() ? "." : folder.string();
    int reason = std::filesystem::is_directory(status) ? EISDIR : 0;
    if (reason == 0 && ::access(written.c_str(), special ? W_OK : W_OK | X_OK) != 0) reason = errno;
    if (reason != 0)
      throw Failure(ExitCode::kUsage, in_quotes(path) + " cannot be written: " + ::strerrordesc_np(reason), "");
  }
}

BenchDocument::BenchDocument(const std::string& kind, const BenchSettings& settings,
                             std::vector<BenchTarget>& targets) {
  data_ = {{"kind", kind},
           {"complete", true},
           {"interrupted_by", nullptr},
           {"settings", settings_json(settings)},
           {"environment", environment_of(targets)},
           {"fits", json::array()}};
}

void BenchDocument::add(std::vector<json> tests) {
  for (auto& test : tests) {
    if (test.contains("latency")) add_flat_percentiles(test);
    tests_.push_back(std::move(test));
  }
}

json BenchDocument::whole() const {
  json data = data_;
  data["tests"] = tests_;
  return {{"schema", kBenchSchema}, {"data", std::move(data)}};
}

// What somebody who only looks at the figures would miss.
void BenchDocument::say(const Invocation& invocation) const {
  std::string unsteady;
  std::string noisy;
  const auto add = [](std::string& list, const std::string& name) { list += (list.empty() ? "" : ", ") + name; };
  for (const auto& test : tests_) {
    if (!test.contains("latency")) continue;
    const auto name = test["name"].get<std::string>();
    if (test["warmup"]["steady"] == false && test["warmup"]["seconds"] > 0) add(unsteady, name);
    if (!test["noise"].is_null() && test["noise"]["too_noisy"] == true) {
      char doubt[32];
      std::snprintf(doubt, sizeof doubt, " (± %.3g %%)", test["noise"]["aa_half_width_percent"].get<double>());
      add(noisy, name + doubt);
    }
    if (!test["open_loop"].is_null() && test["open_loop"]["not_begun"] != 0) {
      note(invocation,
           name + ": " + test["open_loop"]["not_begun"].dump() +
               " operations that were due before the end had not begun; take more threads, or a lower rate");
    }
  }
  const json& machine = data_["environment"]["machine"];
  if (!machine.is_null() && machine["varied_percent"] > 100 * kVariesMuch) {
    char varied[32];
    std::snprintf(varied, sizeof varied, "%.3g %%", machine["varied_percent"].get<double>());
    note(invocation, std::string("the machine's own speed varied by ") + varied +
                         " during the run, as a fixed piece of work shows: so did every figure that depends on it");
  }
  if (!unsteady.empty())
    note(invocation, "not steady when the warm-up was over (--warmup 5s gives it longer): " + unsteady);
  if (!noisy.empty()) {
    note(invocation,
         "too noisy to tell a change of 10 %; by how much the run differs from itself (A/A, 99 %): " + noisy);
  }
}

void BenchDocument::write_stdout(const Invocation& invocation, const BenchOutput& output) const {
  if (invocation.format == OutputFormat::kTable) {
    const std::size_t width = terminal_columns();
    write_test_table(invocation.out, tests_, {.emphasis = wants_colour(STDOUT_FILENO), .width = width});
    if (data_.contains("stress"))
      write_stress(invocation.out, data_["stress"], {.emphasis = wants_colour(STDOUT_FILENO), .width = width});
    write_where(invocation.out, tests_);
    write_fits(invocation.out, data_["fits"]);
    if (!output.histogram) return;
    for (const auto& test : tests_) write_histogram(invocation.out, test, width);
    return;
  }
  Report report{.name = "bench.run", .data = value_of(data_), .rows_key = "tests", .columns = test_columns()};
  for (const auto& test : tests_) report.rows.push_back(value_of(test));
  present(invocation, report);
}

ExitCode BenchDocument::finish(const Invocation& invocation, const BenchOutput& output,
                               const Interruption& interruption) {
  data_["fits"] = cost_fits(tests_);
  data_["environment"]["machine"] = machine_of(tests_);
  if (interruption.signal() != 0) {
    data_["complete"] = false;
    data_["interrupted_by"] = std::string("SIG") + ::sigabbrev_np(interruption.signal());
    note(invocation, "interrupted: this report is partial, and says so");
  }
  say(invocation);
  write_stdout(invocation, output);
  if (!output.save.empty()) write_file(output.save, whole().dump(1) + '\n');
  if (!output.report.empty()) write_file(output.report, html_report({whole()}));
  if (!output.prometheus.empty()) write_file(output.prometheus, prometheus_text(tests_));
  bool any = false;
  bool flawed = interruption.signal() != 0;
  for (const auto& test : tests_) {
    any = any || test.contains("latency");
    flawed = flawed || test["status"] == "failed" || test["status"] == "errors";
  }
  if (flawed) return ExitCode::kPartial;
  return any ? ExitCode::kOk : ExitCode::kNegative;
}

}  // namespace p11shim
