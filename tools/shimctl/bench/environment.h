// On what a measurement was made: a figure without it cannot be compared with anything.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/shimctl/bench/bench_target.h"

namespace p11shim {

nlohmann::json environment_of(std::vector<BenchTarget>& targets);

// What a long run watches.
struct ResourceUse {
  double cpu_s = 0;        // of this process, user and system
  double rss_bytes = 0;    // of this process
  double temperature = 0;  // degrees Celsius, the warmest sensor; 0: there is none
};
ResourceUse resource_use();

}  // namespace p11shim
