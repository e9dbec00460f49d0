// Where the time of an operation went, through proxyd. proxyd knows how long a call waited for a lane, was in the HSM
// and was with proxyd at all; what the bench saw beyond that was the shim's, the network's and the wake-ups' between.
//
// The two belong together only where proxyd served the bench's operations and nothing else: if the counts agree.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "tools/shimctl/bench/load_result.h"
#include "tools/shimctl/bench/test_list.h"

namespace p11shim {

// Whether the operation calls this function itself; checks and tidying do not count.
bool calls_function(BenchAction action, std::string_view function);

// `where`: calls and mean times by member and function; `ran`: all operations between the two looks at proxyd, of
// which so many were `checked`. Means in nanoseconds: {"operations", "total_ns", "shim_ns", "proxyd_ns", "queue_ns",
// "hsm_ns"}; null if the counts disagree.
nlohmann::json time_split(const nlohmann::json& where, BenchAction action, const RunTotals& ran, std::uint64_t checked);

}  // namespace p11shim
