// Tells what came out: tables of ratios, one line per measure, and documents for programs and browsers.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "results.h"

namespace p11shim {

void print_ratios(std::ostream& out, const Results& results);
void print_data_paths(std::ostream& out, const Results& results);
void print_system_calls(std::ostream& out, const Results& results);
// And "bench: N of M targets reached".
void print_measures(std::ostream& out, const Results& results);

// Schema p11shim.make-bench, version 1 (docs/performance.md).
nlohmann::json report_document(const Results& results, const std::string& module);

// One self-contained page of a report, and its comparison with an earlier one (null: none).
std::string html_page(const nlohmann::json& report, const nlohmann::json& comparison);

}  // namespace p11shim
