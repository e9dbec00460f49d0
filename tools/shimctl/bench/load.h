// Threads that repeat operations and record how long each one took.
//
// A run is divided into slices of equal length. Closed loop: a thread begins the next operation when the
// former one is over. Open loop (a rate): each operation has a time at which it should begin, whatever became
// of the former ones, and two times are recorded: from its real beginning (what a loop that waits would
// have seen) and from the intended one (what users see, the correction of coordinated omission).
//
// Failed and wrong operations are counted apart and are in no histogram. Checks and tidying are not timed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxyd/stats/histogram.h"
#include "tools/shimctl/bench/operation.h"

namespace p11shim {

struct LoadPlan {
  unsigned threads = 1;
  std::optional<std::chrono::nanoseconds> duration{};  // otherwise iterations
  std::uint64_t iterations = 0;                        // of all threads together
  std::size_t slices = 32;
  double rate = 0;  // operations per second of all threads together; 0: closed loop
  bool poisson = false;
  std::chrono::nanoseconds warmup{std::chrono::seconds{1}};  // at most
  std::chrono::nanoseconds alone{0};                         // of one thread, before; for the contention
  std::uint64_t seed = 1;

  // Which operation a slice is about; empty: always the first. With weights instead: drawn each time.
  std::vector<std::uint8_t> operation_of_slice{};
  std::vector<double> weights{};
};

struct LaneRecord {  // of one operation in one slice
  Histogram service;
  Histogram response;         // open loop
  std::uint64_t busy_ns = 0;  // of all threads: time in the loop, checks aside
  std::uint64_t errors = 0;

  void merge(const LaneRecord& other);
};

struct LoadSlice {
  double start_s = 0;  // since the first began
  double seconds = 0;
  std::vector<LaneRecord> lanes;  // one per operation
};

struct ThreadSummary {
  std::uint64_t count = 0;
  std::uint64_t errors = 0;
  std::uint64_t busy_ns = 0;
  std::uint64_t sum_ns = 0;
};

struct LoadResult {
  std::vector<LoadSlice> slices;
  std::vector<ThreadSummary> threads;
  std::vector<std::map<CK_RV, std::uint64_t>> errors;  // per operation
  std::vector<std::uint64_t> wrong;                    // results, per operation
  std::uint64_t checked = 0;
  std::string first_wrong;
  std::uint64_t not_begun = 0;  // open loop: intended before the end, but no thread was free
  double warmup_s = 0;
  bool steady = false;
  double alone_ns = 0;     // mean latency of one thread alone; 0: not measured
  double cooldown_ns = 0;  // median after a rest; 0: not measured
  bool gave_up = false;    // everything failed
  bool interrupted = false;
};

// `operations[thread][n]`: each thread's own. `stopped` (asked a few times a second by the calling thread)
// ends the run early. `tick` is told the slice that begins.
LoadResult run_load(const LoadPlan& plan, const std::vector<std::vector<std::unique_ptr<Operation>>>& operations,
                    const std::function<bool()>& stopped, const std::function<void(std::size_t)>& tick = {});

}  // namespace p11shim
