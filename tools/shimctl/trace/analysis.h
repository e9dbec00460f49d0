// What a recording adds up to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/shimctl/trace/recording.h"

namespace p11shim {

// Of durations, in nanoseconds; exact.
struct Durations {
  std::uint64_t count = 0;
  std::int64_t sum = 0, min = 0, max = 0, p50 = 0, p90 = 0, p99 = 0, p999 = 0;
};
Durations durations_of(std::vector<std::int64_t> all);

struct FunctionSummary {
  std::string function;
  std::uint64_t failed = 0;
  Durations took;
};

struct ErrorSummary {
  std::string function;
  CK_RV rv = CKR_OK;
  std::uint64_t count = 0;
};

struct Analysis {
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;
  double seconds = 0;  // from the first call's begin to the last one's end
  Durations took;
  std::vector<FunctionSummary> functions;  // the ones that took longest in sum first
  std::vector<ErrorSummary> errors;        // most frequent first
  std::map<CK_MECHANISM_TYPE, std::uint64_t> mechanisms;
  std::vector<const RecordedCall*> slowest;  // of the recording, which must outlive it
};

Analysis analyze(const Recording& recording, std::size_t slowest);

// Answers that belong to ordinary use are no failures: CKR_OK, a buffer to be measured, attributes that are
// not there.
bool is_failure(CK_RV rv);

}  // namespace p11shim
