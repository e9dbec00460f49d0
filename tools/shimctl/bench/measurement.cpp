#include "tools/shimctl/bench/measurement.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "config/quantity.h"
#include "tools/shimctl/bench/time_split.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/token/pin_source.h"

namespace p11shim {

using nlohmann::json;
using std::chrono::nanoseconds;

namespace {

constexpr std::chrono::seconds kDefaultDuration{2};
constexpr std::chrono::milliseconds kShortestSlice{10};
constexpr std::size_t kMostSlices = 48;
// Of two sides in turns: the shorter a turn, the more alike are the machine's disturbances to both.
constexpr std::chrono::milliseconds kShortestTurn{4};
constexpr std::size_t kMostTurns = 240;
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

// What other processes have to know.
void add_settings(json& what, const BenchSettings& settings) {
  what.update({{"key", settings.key},
               {"make_keys", settings.make_keys},
               {"threads", settings.threads},
               {"connections", settings.connections},
               {"duration_ns", settings.duration ? json(settings.duration->count()) : json()},
               {"iterations", settings.iterations},
               {"warmup_ns", settings.warmup.count()},
               {"rate", settings.rate},
               {"poisson", settings.poisson},
               {"data_sizes", settings.data_sizes},
               {"seed", settings.seed}});
}

BenchSettings settings_in(const json& what) {
  BenchSettings settings{.key = what["key"],
                         .make_keys = what["make_keys"],
                         .threads = what["threads"],
                         .connections = what["connections"],
                         .iterations = what["iterations"],
                         .warmup = nanoseconds(what["warmup_ns"].get<std::int64_t>()),
                         .rate = what["rate"],
                         .poisson = what["poisson"],
                         .data_sizes = what["data_sizes"].get<std::vector<std::size_t>>(),
                         .seed = what["seed"]};
  if (!what["duration_ns"].is_null()) settings.duration = nanoseconds(what["duration_ns"].get<std::int64_t>());
  return settings;
}

bool can_read_again(const std::string& source) { return source.starts_with("env:") || source.starts_with("file:"); }

std::uint64_t part_of(std::uint64_t all, unsigned parts, unsigned number) {
  return all / parts + (number < all % parts ? 1 : 0);
}

double seconds_of(Operation& operation) {
  const auto begin = std::chrono::steady_clock::now();
  if (operation.run() == CKR_OK) operation.tidy();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

// Sessions, keys and operations of one test, in the order in which they must go.
struct Measurement::Stage {
  std::optional<Secret> pin;                    // of the login test
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
    const bool in_turns = targets_.all().size() == 2;
    const std::chrono::duration<double> shortest = in_turns ? kShortestTurn : kShortestSlice;
    const double each = std::max(kSamplesPerSlice * operation_s / plan.threads, shortest.count());
    const double seconds = std::chrono::duration<double>(*plan.duration).count();
    plan.slices = std::clamp<std::size_t>(static_cast<std::size_t>(seconds / each), kFewestSlices,
                                          in_turns ? kMostTurns : kMostSlices);
  }
  plan.slices -= plan.slices % 2;
}

LoadPlan Measurement::plan_for(const Operations& operations) const {
  LoadPlan plan{.threads = static_cast<unsigned>(operations.size()),
                .duration = settings_.duration,
                .iterations = part_of(settings_.iterations, settings_.connections, number_),
                .rate = settings_.rate / settings_.connections,
                .poisson = settings_.poisson,
                .warmup = settings_.warmup,
                .seed = settings_.seed + number_};
  if (!plan.duration && settings_.iterations == 0) plan.duration = kDefaultDuration;
  if (plan.threads * settings_.connections > 1 && number_ == 0) plan.alone = settings_.warmup / 5;
  set_slices(plan, seconds_of(*operations.front().front()));
  return plan;
}

LoadResult Measurement::run(Stage& stage, json what) {
  const std::function<bool()> stopped = [this] { return interruption_.happened(); };
  Connections* others = targets_.others();
  if (others != nullptr) {
    add_settings(what, settings_);
    what["slices"] = stage.plan.slices;
    others->prepare(what, stopped);
    stage.plan.company = others;
  }
  std::vector<json> before;
  for (auto& target : targets_.all()) before.push_back(proxyd_snapshot(target.control));
  LoadResult result = run_load(stage.plan, stage.operations, stopped, tick_);
  if (others != nullptr) {
    others->merge_into(result);
    stage.plan.threads *= settings_.connections;
    stage.plan.rate = settings_.rate;
  }
  stage.where = json::array();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& control = targets_.all()[i].control;
    stage.where.push_back(before[i].is_null() ? json() : where_time_went(before[i], proxyd_snapshot(control)));
  }
  return result;
}

void Measurement::record(json& record, const Stage& stage, std::size_t lane) const {
  record["key"] = key_json(*stage.keys[lane]);
  record["threads"] = stage.plan.threads;
  record["connections"] = settings_.connections;
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

void Measurement::prepare(Stage& stage, const BenchTest& test, std::size_t data_size) {
  auto& targets = targets_.all();
  const std::string& source = invocation_.token.pin_from;
  const bool logs_in = test.action == BenchAction::kLogin;
  if (logs_in && can_read_again(source)) stage.pin = read_pin(source, "--pin-from", "PIN");
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
                                      .pin = stage.pin ? &*stage.pin : nullptr}));
    }
  }
  stage.plan = plan_for(stage.operations);
}

std::vector<json> Measurement::measure(const BenchTest& test, std::size_t data_size) {
  auto& targets = targets_.all();
  const json head = head_of(test, data_size);
  const auto failed = [&](const std::string& why) {
    json record = skipped(head, why);
    record["status"] = "failed";
    return std::vector<json>{record};
  };
  Stage stage;
  try {
    prepare(stage, test, data_size);
  } catch (const TestSkipped& why) {
    return {skipped(head, why.what())};
  } catch (const CallError& error) {
    return failed(error.what());
  }
  if (targets.size() == 2) {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(settings_.seed));
    for (std::size_t i = 0; i < stage.plan.slices; i += 2) {
      const auto first = static_cast<std::uint8_t>(random() >> 8 & 1);
      stage.plan.operation_of_slice.insert(stage.plan.operation_of_slice.end(),
                                           {first, static_cast<std::uint8_t>(1 - first)});
    }
  }
  try {
    stage.result = run(stage, {{"test", test.name}, {"data_size", data_size}});
  } catch (const Failure& failure) {  // of another process
    return failed(failure.what());
  }
  std::vector<json> records;
  for (std::size_t lane = 0; lane < targets.size(); ++lane) {
    json one = head;
    if (targets.size() == 2) one["side"] = targets[lane].name;
    record(one, stage, lane);
    one["where"] = stage.where[lane];
    one["operation_time"] = time_split(one["where"], test.action, stage.result.ran[lane], stage.result.checked);
    records.push_back(std::move(one));
  }
  if (targets.size() == 2) {
    const auto comparison = compare_lanes(stage.result, stage.plan, settings_.alpha);
    records.back()["comparison"] = comparison_json(comparison, settings_.alpha, settings_.tolerance);
    records.back()["comparison"]["with"] = targets.front().name;
  }
  return records;
}

void Measurement::prepare_mix(Stage& stage, const std::vector<MixPart>& parts) {
  auto& target = targets_.all().front();
  for (const auto& part : parts) {
    stage.keys.push_back(std::make_unique<BenchKey>(
        target.session(), *part.test, BenchKeyChoice{.key = settings_.key, .may_make = settings_.make_keys}));
  }
  stage.operations.resize(settings_.threads);
  for (auto& lanes : stage.operations) {
    // One session for all: what an application does one after the other.
    stage.sessions.push_back(
        std::make_unique<Session>(target.access->module(), target.access->slot(), Session::Access::kReadWrite));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      lanes.push_back(make_operation({.session = *stage.sessions.back(),
                                      .test = *parts[i].test,
                                      .key = *stage.keys[i],
                                      .data_size = settings_.data_sizes.front()}));
    }
  }
  stage.plan = plan_for(stage.operations);
  for (const auto& part : parts) stage.plan.weights.push_back(part.weight);
}

std::vector<json> Measurement::mix(const std::vector<MixPart>& parts) {
  Stage stage;
  prepare_mix(stage, parts);
  json what{{"mix", json::array()}};
  for (const auto& part : parts) what["mix"].push_back({part.test->name, part.weight});
  stage.result = run(stage, std::move(what));
  std::vector<json> records;
  json shown = json::array();  // what an earlier part calls, too
  for (std::size_t i = 0; i < parts.size(); ++i) {
    json one = head_of(*parts[i].test, settings_.data_sizes.front());
    record(one, stage, i);
    one["weight"] = parts[i].weight;
    one["where"] = nullptr;
    one["operation_time"] = nullptr;
    if (stage.where[0].is_array()) {
      one["where"] = json::array();
      for (const auto& row : stage.where[0]) {
        const bool calls = calls_function(parts[i].test->action, row["function"].get<std::string>());
        if (calls && std::find(shown.begin(), shown.end(), row) == shown.end()) one["where"].push_back(row);
      }
      shown.insert(shown.end(), one["where"].begin(), one["where"].end());
      one["operation_time"] =
          time_split(one["where"], parts[i].test->action, stage.result.ran[i], stage.result.checked);
    }
    records.push_back(std::move(one));
  }
  return records;
}

void Measurement::assist(const json& wanted, Channel& parent, unsigned number) {
  number_ = number;
  Stage stage;
  try {
    if (wanted.contains("mix")) {
      std::vector<MixPart> parts;
      for (const auto& part : wanted["mix"])
        parts.push_back({find_bench_test(part[0].get<std::string>()), part[1].get<double>()});
      prepare_mix(stage, parts);
    } else {
      prepare(stage, *find_bench_test(wanted["test"].get<std::string>()), wanted["data_size"]);
    }
  } catch (const std::exception& error) {
    parent.send({{"cannot", error.what()}});
    return;
  }
  stage.plan.slices = wanted["slices"];
  stage.plan.cooldown = false;
  parent.send("ready");
  if (const auto go = parent.receive(); !go || *go != "warm up") return;
  const double later = settings_.rate > 0 ? number / settings_.rate : 0;
  FollowedLoad company(parent, std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(later)));
  stage.plan.company = &company;
  const auto result = run_load(stage.plan, stage.operations, [&] { return company.stopped(); });
  company.finish();
  parent.send(result.to_json());
}

void assist_measurements(const Invocation& invocation, Channel& parent, unsigned number) {
  Interruption interruption;
  std::unique_ptr<BenchTargets> targets;
  while (const auto wanted = parent.receive()) {
    if (*wanted == "open") {
      try {
        targets = std::make_unique<BenchTargets>(invocation, "", interruption.signals());
        parent.send("opened");
      } catch (const std::exception& error) {
        parent.send({{"cannot", error.what()}});
      }
    }
    if (!wanted->is_object() || !targets) continue;  // "stop", of what is over
    const BenchSettings settings = settings_in(*wanted);
    Measurement(invocation, settings, *targets, interruption).assist(*wanted, parent, number);
  }
}

json settings_json(const BenchSettings& settings) {
  const auto text = [](nanoseconds time) {
    return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(time));
  };
  return {{"only", settings.only},
          {"key", settings.key.empty() ? json() : json(settings.key)},
          {"threads", settings.threads},
          {"connections", settings.connections},
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
