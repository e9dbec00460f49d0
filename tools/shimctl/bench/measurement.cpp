#include "tools/shimctl/bench/measurement.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "config/quantity.h"
#include "tools/shimctl/token/pin_source.h"

namespace p11shim {

using nlohmann::json;
using std::chrono::nanoseconds;

namespace {

constexpr std::chrono::seconds kDefaultDuration{2};
constexpr std::chrono::milliseconds kShortestSlice{10};
constexpr std::size_t kMostSlices = 48;
constexpr std::size_t kFewestSlices = 16;
constexpr std::size_t kMostIntervals = 720;
constexpr double kSamplesPerSlice = 5;  // at least, where the time allows it

json key_json(const BenchKey& key) {
  if (key.key() == CK_INVALID_HANDLE) return nullptr;
  return {{"label", key.label()}, {"made_for_the_run", key.was_made()}};
}

json head_of(const BenchTest& test, std::size_t data_size) {
  return {{"name", test.name},    {"group", test.group}, {"data_size", test.sized ? json(data_size) : json()},
          {"side", nullptr},      {"key", nullptr},      {"reason", nullptr},
          {"comparison", nullptr}};
}

json skipped(json head, const std::string& why) {
  head["status"] = "skipped";
  head["reason"] = why;
  return head;
}

bool can_read_again(const std::string& source) { return source.starts_with("env:") || source.starts_with("file:"); }

double seconds_of(Operation& operation) {
  const auto begin = std::chrono::steady_clock::now();
  if (operation.run() == CKR_OK) operation.tidy();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

// Sessions, keys and operations of one test, in the order in which they must go.
struct Measurement::Stage {
  std::vector<std::unique_ptr<BenchKey>> keys;  // per lane
  std::vector<std::unique_ptr<Session>> sessions;
  Operations operations;  // [thread][lane]
  LoadPlan plan;
  LoadResult result;
  json where;
};

void Measurement::watch(nanoseconds interval, Tick tick) {
  interval_ = interval;
  tick_ = std::move(tick);
}

void Measurement::set_slices(LoadPlan& plan, double operation_s) const {
  if (interval_.count() > 0 && plan.duration) {
    plan.slices = std::clamp<std::size_t>(static_cast<std::size_t>(*plan.duration / interval_), 1, kMostIntervals);
    return;
  }
  if (!plan.duration) {
    plan.slices = std::clamp<std::size_t>(plan.iterations / plan.threads / 10, 2, kMostSlices);
  } else {
    const double each =
        std::max(kSamplesPerSlice * operation_s / plan.threads, std::chrono::duration<double>(kShortestSlice).count());
    const double seconds = std::chrono::duration<double>(*plan.duration).count();
    plan.slices = std::clamp<std::size_t>(static_cast<std::size_t>(seconds / each), kFewestSlices, kMostSlices);
  }
  plan.slices -= plan.slices % 2;
}

LoadPlan Measurement::plan_for(const Operations& operations) const {
  LoadPlan plan{.threads = static_cast<unsigned>(operations.size()),
                .duration = settings_.duration,
                .iterations = settings_.iterations,
                .rate = settings_.rate,
                .poisson = settings_.poisson,
                .warmup = settings_.warmup,
                .seed = settings_.seed};
  if (!plan.duration && plan.iterations == 0) plan.duration = kDefaultDuration;
  if (plan.threads > 1) plan.alone = settings_.warmup / 5;
  set_slices(plan, seconds_of(*operations.front().front()));
  return plan;
}

LoadResult Measurement::run(const LoadPlan& plan, const Operations& operations, json& where) {
  std::vector<json> before;
  for (auto& target : targets_.all()) before.push_back(proxyd_snapshot(target.control));
  const std::function<bool()> stopped = [this] { return interruption_.happened(); };
  LoadResult result = run_load(plan, operations, stopped, tick_);
  where = json::array();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& control = targets_.all()[i].control;
    where.push_back(before[i].is_null() ? json() : where_time_went(before[i], proxyd_snapshot(control)));
  }
  return result;
}

void Measurement::record(json& record, const Stage& stage, std::size_t lane) const {
  record["key"] = key_json(*stage.keys[lane]);
  record["threads"] = stage.plan.threads;
  record["open_loop"] = nullptr;
  record_lane(record, stage.result, lane, stage.plan);
  record_load(record, stage.result);
  if (stage.plan.rate > 0) {
    record["open_loop"] = {{"rate_wanted", stage.plan.rate},
                           {"arrivals", stage.plan.poisson ? "poisson" : "fixed"},
                           {"not_begun", stage.result.not_begun}};
  }
  const bool sized = !record["data_size"].is_null();
  record["bytes_per_second"] =
      sized ? json(record["rate"]["per_second"].get<double>() * record["data_size"].get<double>()) : json();
}

std::vector<json> Measurement::measure(const BenchTest& test, std::size_t data_size) {
  auto& targets = targets_.all();
  const json head = head_of(test, data_size);
  std::optional<Secret> pin;
  const std::string& source = invocation_.token.pin_from;
  const bool logs_in = test.action == BenchAction::kLogin;
  if (logs_in && can_read_again(source)) pin = read_pin(source, "--pin-from", "PIN");
  Stage stage;
  try {
    for (auto& target : targets) {
      stage.keys.push_back(std::make_unique<BenchKey>(
          target.session(), test, BenchKeyChoice{.key = settings_.key, .may_make = settings_.make_keys}));
    }
    // The login is the application's: two threads would log each other out.
    const unsigned threads = logs_in ? 1 : settings_.threads;
    stage.operations.resize(threads);
    for (auto& lanes : stage.operations) {
      for (std::size_t i = 0; i < targets.size(); ++i) {
        stage.sessions.push_back(std::make_unique<Session>(targets[i].access->module(), targets[i].access->slot(),
                                                           Session::Access::kReadWrite));
        lanes.push_back(make_operation({.session = *stage.sessions.back(),
                                        .test = test,
                                        .key = *stage.keys[i],
                                        .data_size = data_size,
                                        .pin = pin ? &*pin : nullptr}));
      }
    }
    stage.plan = plan_for(stage.operations);
  } catch (const TestSkipped& why) {
    return {skipped(head, why.what())};
  } catch (const CallError& error) {
    json failed = skipped(head, error.what());
    failed["status"] = "failed";
    return {failed};
  }
  if (targets.size() == 2) {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(settings_.seed));
    for (std::size_t i = 0; i < stage.plan.slices; i += 2) {
      const auto first = static_cast<std::uint8_t>(random() >> 8 & 1);
      stage.plan.operation_of_slice.insert(stage.plan.operation_of_slice.end(),
                                           {first, static_cast<std::uint8_t>(1 - first)});
    }
  }
  stage.result = run(stage.plan, stage.operations, stage.where);
  std::vector<json> records;
  for (std::size_t lane = 0; lane < targets.size(); ++lane) {
    json one = head;
    if (targets.size() == 2) one["side"] = targets[lane].name;
    record(one, stage, lane);
    one["where"] = stage.where[lane];
    records.push_back(std::move(one));
  }
  if (targets.size() == 2) {
    const auto comparison = compare_lanes(stage.result, stage.plan, settings_.alpha);
    records.back()["comparison"] = comparison_json(comparison, settings_.alpha, settings_.tolerance);
    records.back()["comparison"]["with"] = targets.front().name;
  }
  return records;
}

std::vector<json> Measurement::mix(const std::vector<MixPart>& parts) {
  auto& target = targets_.all().front();
  Stage stage;
  for (const auto& part : parts) {
    stage.keys.push_back(std::make_unique<BenchKey>(
        target.session(), *part.test, BenchKeyChoice{.key = settings_.key, .may_make = settings_.make_keys}));
  }
  const std::size_t data_size = settings_.data_sizes.front();
  stage.operations.resize(settings_.threads);
  for (auto& lanes : stage.operations) {
    // One session for all: what an application does one after the other.
    stage.sessions.push_back(
        std::make_unique<Session>(target.access->module(), target.access->slot(), Session::Access::kReadWrite));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      lanes.push_back(make_operation(
          {.session = *stage.sessions.back(), .test = *parts[i].test, .key = *stage.keys[i], .data_size = data_size}));
    }
  }
  stage.plan = plan_for(stage.operations);
  for (const auto& part : parts) stage.plan.weights.push_back(part.weight);
  stage.result = run(stage.plan, stage.operations, stage.where);
  std::vector<json> records;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    json one = head_of(*parts[i].test, data_size);
    record(one, stage, i);
    one["weight"] = parts[i].weight;
    one["where"] = stage.where[0];
    records.push_back(std::move(one));
  }
  return records;
}

json settings_json(const BenchSettings& settings) {
  const auto text = [](nanoseconds time) {
    return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(time));
  };
  return {{"only", settings.only},
          {"key", settings.key.empty() ? json() : json(settings.key)},
          {"threads", settings.threads},
          {"duration", settings.duration         ? json(text(*settings.duration))
                       : settings.iterations > 0 ? json()
                                                 : json(text(kDefaultDuration))},
          {"iterations", settings.iterations > 0 ? json(settings.iterations) : json()},
          {"warmup", text(settings.warmup)},
          {"rate", settings.rate > 0 ? json(settings.rate) : json()},
          {"arrivals", settings.poisson ? "poisson" : "fixed"},
          {"data_sizes", settings.data_sizes},
          {"versus", settings.versus.empty() ? json() : json(settings.versus)},
          {"seed", settings.seed}};
}

json cost_fits(const json& tests) {
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<double>, std::vector<double>>> points;
  for (const auto& test : tests) {
    if (test["data_size"].is_null() || !test.contains("latency") || test["count"] == 0) continue;
    const std::string side = test["side"].is_null() ? "" : test["side"].get<std::string>();
    auto& [sizes, times] = points[{test["name"].get<std::string>(), side}];
    sizes.push_back(test["data_size"].get<double>());
    times.push_back(fine_percentile(Histogram::from_raw(test["latency"]["raw"]), 50));
  }
  json fits = json::array();
  for (const auto& [key, point] : points) {
    if (point.first.size() < 2) continue;
    const Fit fit = fit_line(point.first, point.second);
    fits.push_back({{"name", key.first},
                    {"side", key.second.empty() ? json() : json(key.second)},
                    {"sizes", point.first},
                    {"fixed_ns", fit.fixed},
                    {"per_byte_ns", fit.slope},
                    {"r2", fit.r2}});
  }
  return fits;
}

}  // namespace p11shim
