// bench stress: one test for a long time, watched at intervals, and a test of whether it wears out.
#include "tools/shimctl/bench/environment.h"
#include "tools/shimctl/commands/bench/bench_run.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/progress.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr double kAlpha = 0.01;
constexpr std::size_t kFewest = 6;  // intervals that a trend can be seen in

const BenchTest& stressed_test(const BenchSettings& settings, Session& session) {
  auto tests = settings.only.empty() && !settings.key.empty() ? tests_for_key(session, settings.key)
                                                              : choose_bench_tests(settings.only);
  std::string why = "the key is for none of the tests";
  for (const auto* test : tests) {
    try {
      const BenchKey key(session, *test, {.key = settings.key, .may_make = settings.make_keys});
      return *test;
    } catch (const TestSkipped& reason) {
      why = reason.what();
    }
  }
  throw Failure(ExitCode::kNotFound, {.what = "there is nothing to stress", .why = why});
}

json interval_json(const json& slice, const ResourceUse& before, const ResourceUse& after) {
  const double seconds = slice["seconds"].get<double>();
  json interval = slice;
  interval["cpu"] = seconds > 0 ? (after.cpu_s - before.cpu_s) / seconds : 0;  // processors
  interval["rss_bytes"] = after.rss_bytes;
  interval["temperature"] = after.temperature > 0 ? json(after.temperature) : json();
  return interval;
}

// Whether a figure goes up or down by more than chance, in per cent of its mean over the whole run.
json trend_json(const json& intervals, const char* key) {
  std::vector<double> times;
  std::vector<double> values;
  for (const auto& interval : intervals) {
    if (interval[key].is_null()) continue;  // nothing succeeded, or nobody measures it
    times.push_back(interval["start_s"].get<double>());
    values.push_back(interval[key].get<double>());
  }
  if (values.size() < kFewest) return nullptr;
  const Trend trend = trend_of(times, values);
  const double mean = mean_of(values);
  const double change = mean == 0 ? 0 : 100 * trend.slope * (times.back() - times.front()) / mean;
  const bool matters = trend.p < kAlpha && std::abs(change) > 1;
  return {{"per_second", trend.slope},
          {"change_percent", change},
          {"p", trend.p},
          {"verdict", !matters          ? "~"
                      : trend.slope > 0 ? "rising"
                                        : "falling"}};
}

}  // namespace

ExitCode bench_stress(const Invocation& invocation, const BenchRunOptions& options) {
  BenchSettings settings = settings_of(options);
  if (!settings.duration) settings.duration = std::chrono::seconds(60);
  settings.iterations = 0;
  const auto interval = parse_time(options.interval, "--interval");
  if (interval.count() <= 0 || interval > *settings.duration) {
    throw Failure(ExitCode::kUsage, "--interval must be shorter than --duration", "");
  }
  Interruption interruption;
  BenchTargets targets(invocation, "", interruption.signals(), settings.connections);
  const BenchTest& test = stressed_test(settings, targets.all().front().session());
  BenchDocument document("stress", settings, targets.all());
  std::vector<ResourceUse> uses;  // when each interval begins, and at the end
  Progress progress(invocation, "stress", static_cast<std::uint64_t>(*settings.duration / interval), "intervals");
  Measurement measurement(invocation, settings, targets, interruption);
  measurement.watch(interval, [&](std::size_t) {
    uses.push_back(resource_use());
    progress.advance(uses.size() > 1 ? 1 : 0);
  });
  auto records = measurement.measure(test, settings.data_sizes.front());
  json& record = records.front();
  json intervals = json::array();
  if (record.contains("slices")) {
    const json& slices = record["slices"];
    for (std::size_t i = 0; i < slices.size() && i + 1 < uses.size(); ++i) {
      intervals.push_back(interval_json(slices[i], uses[i], uses[i + 1]));
    }
  }
  json trends{{"rate", trend_json(intervals, "rate")},
              {"median_ns", trend_json(intervals, "median_ns")},
              {"cpu", trend_json(intervals, "cpu")},
              {"rss_bytes", trend_json(intervals, "rss_bytes")},
              {"temperature", trend_json(intervals, "temperature")}};
  for (const auto& [name, trend] : trends.items()) {
    if (trend.is_null() || trend["verdict"] == "~") continue;
    char by[64];
    std::snprintf(by, sizeof by, ": %.3g %% over the run (p = %.2g)", trend["change_percent"].get<double>(),
                  trend["p"].get<double>());
    note(invocation, name + " is " + trend["verdict"].get<std::string>() + by);
  }
  document.set("stress", {{"intervals", std::move(intervals)}, {"trends", std::move(trends)}});
  document.add(std::move(records));
  return document.finish(invocation, options.output, interruption);
}

}  // namespace p11shim
