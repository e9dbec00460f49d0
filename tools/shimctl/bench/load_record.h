// A load's result as the reports have it (docs/schemas/bench.run.json).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/shimctl/bench/load.h"
#include "tools/shimctl/bench/statistics.h"

namespace p11shim {

// A percentile between its histogram's buckets' bounds, in nanoseconds: for comparisons, which see less than
// a bucket's width.
double fine_percentile(const Histogram& histogram, double percent);

// Of one operation of a load, into `test`: counts, errors, rate, latency, slices, noise.
void record_lane(nlohmann::json& test, const LoadResult& load, std::size_t lane, const LoadPlan& plan);
// Of the load as a whole: warm-up, threads, contention, cooldown.
void record_load(nlohmann::json& test, const LoadResult& load);

// Where the same code lies in memory makes such a difference; to run it at another time, this one.
inline constexpr double kLeastChange = 0.01;
inline constexpr double kLeastChangeOfRuns = 0.02;

// Two operations of interleaved slices.
struct Comparison {
  double ratio = 1;  // of median latencies, the second to the first
  double low = 1;    // the interval at `alpha`
  double high = 1;
  double p = 1;
  std::size_t pairs = 0;
  double least = kLeastChange;  // what is smaller is none, however certain
};
nlohmann::json comparison_json(const Comparison& comparison, double alpha, double tolerance);
// "~" (no change), "slower", "faster", or "noisy": a change of `tolerance` could not be told from chance.
std::string verdict_of(const Comparison& comparison, double alpha, double tolerance);
Comparison compare_lanes(const LoadResult& load, const LoadPlan& plan, double alpha);

}  // namespace p11shim
