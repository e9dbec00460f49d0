// An earlier report, for comparison: ratios to what ran beside us then and now, since times belong to the machine.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

namespace p11shim {

// Throws std::runtime_error if it is no report of ours.
nlohmann::json read_report(const std::filesystem::path& file);

// [{"name", "before", "now", "ratio"}]: measures, and the throughput over direct of all cells; `ratio` is now over before,
// absent where there is no number.
nlohmann::json compare_reports(const nlohmann::json& earlier, const nlohmann::json& report);

void print_comparison(std::ostream& out, const nlohmann::json& comparison);

}  // namespace p11shim
