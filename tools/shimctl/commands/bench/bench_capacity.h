// bench capacity.
#pragma once

#include "tools/shimctl/commands/bench/bench_run.h"

namespace p11shim {

struct BenchCapacityOptions {
  BenchRunOptions run;
  double rate = 0;        // that is needed
  std::string p99;        // that is wanted
  std::string from;       // a report instead of a measurement
  unsigned parallel = 0;  // operations at once in one HSM; 0: measured
};
ExitCode bench_capacity(const Invocation& invocation, const BenchCapacityOptions& options);

}  // namespace p11shim
