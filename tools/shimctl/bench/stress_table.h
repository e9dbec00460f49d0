// What bench stress saw at each interval, and whether it rises or falls: for the terminal and for the page.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>

#include "tools/shimctl/bench/result_table.h"

namespace p11shim {

// `stress` is {"intervals", "trends"} of p11shim.bench.run/1.
void write_stress(std::ostream& out, const nlohmann::json& stress, const TableStyle& style);
std::string stress_html(const nlohmann::json& stress);

}  // namespace p11shim
