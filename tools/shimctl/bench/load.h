// Threads that repeat operations and record how long each one took.
//
// A run is divided into slices of equal length. Closed loop: a thread begins the next operation when the
// former one is over. Open loop (a rate): each operation has a time at which it should begin, whatever became
// of the former ones, and two times are recorded: from its real beginning (what a loop that waits would
// have seen) and from the intended one (what users see, the correction of coordinated omission).
//
// Failed and wrong operations are counted apart and are in no histogram; the time that they took is the run's.
// Checks and tidying are not timed.
//
// The machine's own speed is measured too (machine_work.h): by the threads between two operations of a closed loop, for
// at most one per cent of the time and in none of the figures; before and after an open loop, or one of two sides in
// turns, so that it delays nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/shimctl/bench/load_company.h"
#include "tools/shimctl/bench/load_result.h"
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

  LoadCompany* company = nullptr;  // other processes that do the same
  bool cooldown = true;            // look at it afterwards

  // Whether the threads may do something else between two operations.
  bool can_pause() const { return rate == 0 && operation_of_slice.empty(); }
};

// `operations[thread][n]`: each thread's own. `stopped` (asked a few times a second by the calling thread)
// ends the run early. With a duration `tick` is told the slice that begins, and at the end how many began.
LoadResult run_load(const LoadPlan& plan, const std::vector<std::vector<std::unique_ptr<Operation>>>& operations,
                    const std::function<bool()>& stopped, const std::function<void(std::size_t)>& tick = {});

}  // namespace p11shim
