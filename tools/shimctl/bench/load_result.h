// What a load answers, and how processes that measured together tell each other.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "proxyd/stats/histogram.h"

namespace p11shim {

struct LaneRecord {  // of one operation in one slice
  Histogram service;
  Histogram response;           // open loop
  std::uint64_t busy_ns = 0;    // of all threads: time in the loop, checks aside
  std::uint64_t waited_ns = 0;  // which part of it they waited for a processor that others had
  std::uint64_t errors = 0;

  void merge(const LaneRecord& other);
};

struct LoadSlice {
  double start_s = 0;  // since the first began
  double seconds = 0;
  std::vector<LaneRecord> lanes;   // one per operation
  std::vector<double> machine_ns;  // what MachineWork took, each time that it was done
};

struct ThreadSummary {
  std::uint64_t count = 0;
  std::uint64_t errors = 0;
  std::uint64_t busy_ns = 0;
  std::uint64_t sum_ns = 0;
};

// Of all that a load ran, the warm-up included.
struct RunTotals {
  std::uint64_t count = 0;
  std::uint64_t ns = 0;

  void add(std::uint64_t took) {
    ++count;
    ns += took;
  }
};

struct LoadResult {
  std::vector<LoadSlice> slices;
  std::vector<ThreadSummary> threads;
  std::vector<std::map<CK_RV, std::uint64_t>> errors;  // per operation
  std::vector<std::uint64_t> wrong;                    // results, per operation
  std::vector<RunTotals> ran;                          // per operation
  std::uint64_t checked = 0;
  std::string first_wrong;
  std::uint64_t not_begun = 0;  // open loop: intended before the end, but no thread was free
  double warmup_s = 0;
  bool steady = false;
  double alone_ns = 0;     // mean latency of one thread alone; 0: not measured
  double cooldown_ns = 0;  // median after a rest; 0: not measured
  bool gave_up = false;    // everything failed
  bool interrupted = false;

  // Of another process that did the same at the same time.
  void merge(const LoadResult& other);

  nlohmann::json to_json() const;
  // Throws nlohmann::json::exception or std::invalid_argument on anything that to_json() does not write.
  static LoadResult from_json(const nlohmann::json& text);
};

}  // namespace p11shim
