#include "tools/shimctl/commands/bench/bench_capacity.h"

#include <cmath>

#include "tools/shimctl/bench/capacity.h"
#include "tools/shimctl/bench/comparison.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr unsigned kMostHsms = 10'000;
constexpr std::uint64_t kSimulated = 200'000;  // operations
constexpr unsigned kMostThreads = 16;

struct Measured {
  std::string name;
  Histogram service;    // of one operation at a time
  double parallel = 1;  // operations that one HSM serves at once
};

Histogram histogram_in(const json& test) { return Histogram::from_raw(test["latency"]["raw"]); }

// One thread shows the service time; more threads how many of them fit into it.
Measured read_report(const json& document) {
  Measured found;
  double best = 0;
  for (const auto& test : document["data"]["tests"]) {
    if (!test.contains("latency") || test["count"] == 0) continue;
    if (found.name.empty()) found.name = test["name"];
    if (test["name"] != found.name) continue;
    if (test["threads"] == 1) found.service = histogram_in(test);
    best = std::max(best, test["rate"]["per_second"].get<double>());
  }
  if (found.service.count() == 0)
    throw Failure(ExitCode::kUsage, "the report has no test with one thread",
                  "shimctl bench sweep --over threads=1,2,4");
  found.parallel = std::max(1.0, best * found.service.mean() / 1e9);
  return found;
}

Measured measure(const Invocation& invocation, const BenchSettings& wanted) {
  BenchSettings settings = wanted;
  Interruption interruption;
  BenchTargets targets(invocation, "", interruption.signals());
  const auto tests = settings.only.empty() && !settings.key.empty()
                         ? tests_for_key(targets.all().front().session(), settings.key)
                         : choose_bench_tests(settings.only);
  Measurement measurement(invocation, settings, targets, interruption);
  Measured found;
  double best = 0;
  for (settings.threads = 1; settings.threads <= kMostThreads; settings.threads *= 2) {
    const json test = measurement.measure(*tests.front(), settings.data_sizes.front()).front();
    if (interruption.happened()) throw Failure(ExitCode::kPartial, "interrupted before enough was measured", "");
    if (!test.contains("latency") || test["count"] == 0)
      throw Failure(ExitCode::kPkcs11, {.what = "the test cannot be measured", .why = test["reason"].dump()});
    if (settings.threads == 1) {
      found.name = test["name"];
      found.service = histogram_in(test);
    }
    const double rate = test["rate"]["per_second"];
    if (rate < 1.05 * best) break;  // more threads only wait for each other
    best = rate;
  }
  found.parallel = std::max(1.0, best * found.service.mean() / 1e9);
  return found;
}

json row_of(const ServiceTimes& times, double rate, unsigned hsms, unsigned parallel, std::uint64_t seed) {
  const unsigned servers = hsms * parallel;
  const double use = rate * times.mean_s() / servers;
  const double predicted = predicted_percentile(times, rate, servers, 99);
  json row{{"hsms", hsms},
           {"use_percent", 100 * use},
           {"p99_ns", nullptr},
           {"simulated_p99_ns", nullptr},
           {"error_percent", nullptr}};
  if (!std::isfinite(predicted)) return row;
  const double simulated = simulated_percentile(times, rate, servers, 99, kSimulated, seed);
  row["p99_ns"] = 1e9 * predicted;
  row["simulated_p99_ns"] = 1e9 * simulated;
  row["error_percent"] = 100 * (predicted / simulated - 1);
  return row;
}

std::string time_text(const json& ns) {
  return ns.is_null() ? "cannot keep up" : duration_text(static_cast<std::uint64_t>(ns.get<double>()));
}

}  // namespace

ExitCode bench_capacity(const Invocation& invocation, const BenchCapacityOptions& options) {
  const double target = std::chrono::duration<double>(parse_time(options.p99, "--p99")).count();
  if (!(options.rate > 0) || options.rate > 1e8)
    throw Failure(ExitCode::kUsage, "--rate is a number of operations per second", "");
  const BenchSettings settings = settings_of(options.run);
  const Measured found =
      options.from.empty() ? measure(invocation, settings) : read_report(read_bench_report(options.from));
  const unsigned parallel =
      options.parallel > 0 ? options.parallel : std::max(1u, static_cast<unsigned>(std::lround(found.parallel)));
  const ServiceTimes times(found.service);
  if (predicted_percentile(times, 1e-9, parallel, 99) > target) {
    throw Failure(ExitCode::kNegative,
                  "no number of these HSMs has such a p99: an operation alone takes " +
                      time_text(found.service.percentile(99)) + " at the 99th percentile",
                  "");
  }
  unsigned needed = 1;
  while (needed < kMostHsms && predicted_percentile(times, options.rate, needed * parallel, 99) > target) ++needed;
  Report report{.name = "bench.capacity", .rows_key = "choices"};
  report.data.set("test", found.name).set("rate", options.rate).set("p99_ns", 1e9 * target);
  report.data.set("service_ns", found.service.mean())
      .set("parallel", parallel)
      .set("measured_parallel", found.parallel);
  report.data.set("variation", std::sqrt(times.squared_variation())).set("hsms", needed);
  report.columns = {{"HSMS", "hsms", Align::kRight},
                    {"USE", "use", Align::kRight},
                    {"P99", "p99", Align::kRight},
                    {"SIMULATED", "simulated", Align::kRight},
                    {"ERROR", "error", Align::kRight}};
  for (unsigned hsms = needed > 1 ? needed - 1 : 1; hsms <= needed + 2; ++hsms) {
    const json row = row_of(times, options.rate, hsms, parallel, settings.seed);
    const auto percent = [](const json& value) {
      char text[32];
      std::snprintf(text, sizeof text, "%.1f %%", value.is_null() ? 0.0 : value.get<double>());
      return std::string(value.is_null() ? "-" : text);
    };
    Value shown = value_of(row);
    shown.set("use", percent(row["use_percent"])).set("p99", time_text(row["p99_ns"]));
    shown.set("simulated", time_text(row["simulated_p99_ns"])).set("error", percent(row["error_percent"]));
    report.rows.push_back(std::move(shown));
  }
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim
