#include "tools/shimctl/bench/load_record.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include "pkcs11/names.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array kPercentiles{50.0, 90.0, 95.0, 99.0, 99.9, 99.99};
constexpr double kAlpha = 0.01;
constexpr double kNoisy = 10;  // per cent of doubt

json interval_json(const std::vector<Histogram>& slices, double percent) {
  if (slices.size() < kFewestForInterval) return {nullptr, nullptr};
  const Interval interval = bootstrap_percentile(slices, percent);
  return {interval.low, interval.high};
}

// Of slices that have any.
json latency_json(const std::vector<Histogram>& slices) {
  Histogram all;
  for (const auto& slice : slices) all.merge(slice);
  json percentiles = json::array();
  json unsupported = json::array();
  for (const double percent : kPercentiles) {
    if (!supports_percentile(all.count(), percent)) {
      unsupported.push_back(percent);
      continue;
    }
    const json interval = interval_json(slices, percent);
    percentiles.push_back(
        {{"percent", percent}, {"ns", all.percentile(percent)}, {"low_ns", interval[0]}, {"high_ns", interval[1]}});
  }
  return {{"count", all.count()},       {"mean_ns", all.mean()},      {"min_ns", all.min()}, {"max_ns", all.max()},
          {"percentiles", percentiles}, {"unsupported", unsupported}, {"raw", all.raw()}};
}

// In which the successes were: in the closed loop that of all that was tried, whatever became of it, and of a mix of all
// its parts.
double time_of(const LoadSlice& slice, std::size_t lane, const LoadPlan& plan) {
  if (plan.rate > 0) return slice.seconds;
  std::uint64_t busy_ns = slice.lanes[lane].busy_ns;
  if (!plan.weights.empty()) {
    busy_ns = 0;
    for (const auto& each : slice.lanes) busy_ns += each.busy_ns;
  }
  return static_cast<double>(busy_ns) / 1e9 / plan.threads;
}

// Which part of the time of a closed loop its threads waited for a processor.
double waited_of(const LaneRecord& lane, const LoadPlan& plan) {
  return plan.rate > 0 || !plan.weights.empty() ? 0 : static_cast<double>(lane.waited_ns) / 1e9 / plan.threads;
}

// The machine's speed in each slice; in those that were too short to look at it, what lies between their neighbours'.
std::vector<double> machine_of_slices(const std::vector<LoadSlice>& slices) {
  std::vector<double> speeds;
  std::size_t known = 0;  // how many up to the last that is
  for (const auto& slice : slices) {
    speeds.push_back(median_of(slice.machine_ns));
    if (speeds.back() <= 0) continue;
    const std::size_t now = speeds.size() - 1;
    const double before = known > 0 ? speeds[known - 1] : speeds[now];
    const auto steps = static_cast<double>(now + 1 - known);
    for (std::size_t i = known; i < now; ++i)
      speeds[i] = before * std::pow(speeds[now] / before, static_cast<double>(i + 1 - known) / steps);
    known = now + 1;
  }
  for (std::size_t i = known; i < speeds.size() && known > 0; ++i) speeds[i] = speeds[known - 1];
  return speeds;
}

bool has_turn(const LoadPlan& plan, std::size_t slice, std::size_t lane) {
  return plan.operation_of_slice.empty() || plan.operation_of_slice[slice] == lane;
}

struct Rate {
  std::vector<double> counts;  // per slice
  std::vector<double> times;
  double per_second = 0;

  json to_json() const {
    if (counts.size() < kFewestForInterval) return {{"per_second", per_second}, {"low", nullptr}, {"high", nullptr}};
    const Interval interval = bootstrap_ratio(counts, times);
    return {{"per_second", per_second},
            {"low", std::min(interval.low, per_second)},
            {"high", std::max(interval.high, per_second)}};
  }
};

Rate rate_of(const LoadResult& load, std::size_t lane, const LoadPlan& plan) {
  Rate rate;
  double count = 0;
  double time = 0;
  for (std::size_t i = 0; i < load.slices.size(); ++i) {
    const LaneRecord& record = load.slices[i].lanes[lane];
    const double seconds = time_of(load.slices[i], lane, plan);
    if (!has_turn(plan, i, lane) || seconds == 0) continue;
    rate.counts.push_back(static_cast<double>(record.service.count()));
    rate.times.push_back(seconds);
    count += rate.counts.back();
    time += seconds;
  }
  rate.per_second = time > 0 ? count / time : 0;
  return rate;
}

json slices_json(const LoadResult& load, std::size_t lane, const LoadPlan& plan) {
  json slices = json::array();
  const auto machine_ns = machine_of_slices(load.slices);
  for (std::size_t i = 0; i < load.slices.size(); ++i) {
    const LoadSlice& slice = load.slices[i];
    const LaneRecord& record = slice.lanes[lane];
    const Histogram& times = plan.rate > 0 ? record.response : record.service;
    if (!has_turn(plan, i, lane)) continue;
    const bool any = times.count() != 0;
    const double time = time_of(slice, lane, plan);
    if (!plan.duration && !any && time == 0) continue;  // iterations that were not reached
    const auto tail = [&](double percent) {
      return supports_percentile(times.count(), percent) ? json(times.percentile(percent)) : json();
    };
    slices.push_back({{"start_s", slice.start_s},
                      {"seconds", slice.seconds},
                      {"busy_s", time},
                      {"waited_s", waited_of(record, plan)},
                      {"count", times.count()},
                      {"errors", record.errors},
                      {"rate", time > 0 ? static_cast<double>(times.count()) / time : 0},
                      {"median_ns", any ? json(fine_percentile(record.service, 50)) : json()},
                      {"p90_ns", tail(90)},
                      {"p99_ns", tail(99)},
                      {"max_ns", any ? json(times.max()) : json()},
                      {"machine_ns", machine_ns[i] > 0 ? json(machine_ns[i]) : json()}});
  }
  return slices;
}

// How much the run differs from itself: every other slice against its neighbour.
json noise_json(const LoadResult& load, std::size_t lane) {
  std::vector<double> medians;
  for (const auto& slice : load.slices) {
    const double median = fine_percentile(slice.lanes[lane].service, 50);
    if (median > 0) medians.push_back(std::log(median));
  }
  std::vector<double> differences;
  for (std::size_t i = 0; i + 1 < medians.size(); i += 2) differences.push_back(medians[i + 1] - medians[i]);
  if (differences.size() < 4) return nullptr;
  const Difference self = paired_difference(differences, kAlpha);
  const double doubt = 100 * std::expm1(std::abs(self.half_width));
  return {{"aa_percent", 100 * std::expm1(self.value)},
          {"aa_half_width_percent", doubt},
          {"slice_deviation_percent", 100 * deviation_of(medians)},
          {"too_noisy", doubt > kNoisy}};
}

}  // namespace

double fine_percentile(const Histogram& histogram, double percent) {
  if (histogram.count() == 0) return 0;
  const double rank = percent / 100 * static_cast<double>(histogram.count());
  double seen = 0;
  const json raw = histogram.raw();
  for (const auto& bucket : raw["buckets"]) {
    const auto low = bucket[0].get<std::uint64_t>();
    const auto count = bucket[1].get<double>();
    if (seen + count < rank) {
      seen += count;
      continue;
    }
    const int width_bits =
        std::max(0, static_cast<int>(std::bit_width(low)) - 1 - static_cast<int>(Histogram::kSubBucketBits));
    return static_cast<double>(low) + std::ldexp(1.0, width_bits) * (rank - seen) / count;
  }
  return static_cast<double>(histogram.max());
}

void record_lane(json& test, const LoadResult& load, std::size_t lane, const LoadPlan& plan) {
  std::vector<Histogram> service;
  std::vector<Histogram> response;
  std::uint64_t count = 0;
  double seconds = 0;
  for (const auto& slice : load.slices) {
    seconds += slice.seconds;
    const LaneRecord& record = slice.lanes[lane];
    if (record.service.count() == 0) continue;
    count += record.service.count();
    service.push_back(record.service);
    response.push_back(record.response);
  }
  std::uint64_t failed = 0;
  json errors = json::object();
  for (const auto& [rv, times] : load.errors[lane]) {
    errors[display(NameKind::ckr, rv)] = times;
    failed += times;
  }
  test["count"] = count;
  test["failed"] = failed;
  test["errors"] = std::move(errors);
  test["wrong"] = load.wrong[lane];
  test["seconds"] = seconds;
  test["rate"] = rate_of(load, lane, plan).to_json();
  test["latency"] = latency_json(service);
  test["response"] = plan.rate > 0 ? latency_json(response) : json();
  test["slices"] = slices_json(load, lane, plan);
  test["noise"] = noise_json(load, lane);
  if (test["count"] == 0) {
    test["status"] = "failed";
  } else {
    test["status"] = failed + load.wrong[lane] > 0 ? "errors" : "ok";
  }
}

void record_load(json& test, const LoadResult& load) {
  json threads = json::array();
  double slowest = 0;
  double fastest = 0;
  double sum = 0;
  double count = 0;
  for (const auto& thread : load.threads) {
    const double rate =
        thread.busy_ns > 0 ? 1e9 * static_cast<double>(thread.count) / static_cast<double>(thread.busy_ns) : 0;
    slowest = threads.empty() ? rate : std::min(slowest, rate);
    fastest = std::max(fastest, rate);
    sum += static_cast<double>(thread.sum_ns);
    count += static_cast<double>(thread.count);
    threads.push_back(
        {{"count", thread.count},
         {"errors", thread.errors},
         {"rate", rate},
         {"mean_ns", thread.count > 0 ? static_cast<double>(thread.sum_ns) / static_cast<double>(thread.count) : 0}});
  }
  test["per_thread"] = std::move(threads);
  test["checked"] = load.checked;
  if (!load.first_wrong.empty()) test["first_wrong"] = load.first_wrong;
  test["warmup"] = {{"seconds", load.warmup_s}, {"steady", load.steady}};
  test["contention"] = nullptr;
  if (load.alone_ns > 0 && count > 0) {
    test["contention"] = {{"alone_ns", load.alone_ns},
                          {"slower_by", sum / count / load.alone_ns},
                          {"slowest_to_fastest_thread", fastest > 0 ? slowest / fastest : 0}};
  }
  test["cooldown_ns"] = load.cooldown_ns > 0 ? json(load.cooldown_ns) : json();
  test["interrupted"] = load.interrupted;
  if (load.gave_up) test["reason"] = "every operation failed; it was given up";
}

Comparison compare_lanes(const LoadResult& load, const LoadPlan& plan, double alpha) {
  std::vector<double> differences;
  for (std::size_t i = 0; i + 1 < load.slices.size(); i += 2) {
    std::array<double, 2> medians{};
    for (const std::size_t slice : {i, i + 1}) {
      const std::size_t lane = plan.operation_of_slice[slice];
      medians[lane] = fine_percentile(load.slices[slice].lanes[lane].service, 50);
    }
    if (medians[0] > 0 && medians[1] > 0) differences.push_back(std::log(medians[1] / medians[0]));
  }
  const Difference found = paired_difference(differences, alpha);
  return {.ratio = std::exp(found.value),
          .low = std::exp(found.value - found.half_width),
          .high = std::exp(found.value + found.half_width),
          .p = found.p,
          .pairs = differences.size()};
}

std::string verdict_of(const Comparison& comparison, double alpha, double tolerance) {
  if (comparison.p < alpha && std::abs(comparison.ratio - 1) >= comparison.least)
    return comparison.ratio > 1 ? "slower" : "faster";
  const bool could_hide = comparison.pairs < 3 || comparison.high > 1 + tolerance || comparison.low < 1 - tolerance;
  return could_hide ? "noisy" : "~";
}

json comparison_json(const Comparison& comparison, double alpha, double tolerance) {
  return {{"ratio", comparison.ratio},
          {"low", comparison.low},
          {"high", comparison.high},
          {"p", comparison.p},
          {"pairs", comparison.pairs},
          {"alpha", alpha},
          {"verdict", verdict_of(comparison, alpha, tolerance)}};
}

}  // namespace p11shim
