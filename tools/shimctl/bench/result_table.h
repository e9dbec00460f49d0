// Measurements as people and other programs read them: a table, a histogram of characters, Prometheus's text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>

#include "tools/shimctl/output/report.h"

namespace p11shim {

struct TableStyle {
  bool emphasis = false;
  std::size_t width = 0;
};
void write_test_table(std::ostream& out, const nlohmann::json& tests, const TableStyle& style);
// Of one test's latency.
void write_histogram(std::ostream& out, const nlohmann::json& test, std::size_t width);
std::string prometheus_text(const nlohmann::json& tests);

// What CSV and plain text show.
std::vector<ReportColumn> test_columns();
// The latency that users see: the response's where there is one. Null if nothing succeeded.
const nlohmann::json& seen_latency(const nlohmann::json& test);
// Nanoseconds; negative: the sample does not support it.
double percentile_in(const nlohmann::json& latency, double percent);

}  // namespace p11shim
