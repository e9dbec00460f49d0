// bench compare and bench report.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct BenchCompareOptions {
  std::string before;
  std::string after;
  std::string fail_on_regress;  // "10%"
  double alpha = 0.01;
  std::string report;  // HTML
};
ExitCode bench_compare(const Invocation& invocation, const BenchCompareOptions& options);

struct BenchReportOptions {
  std::vector<std::string> files;  // one or two
  std::string out = "bench.html";
};
ExitCode bench_report(const Invocation& invocation, const BenchReportOptions& options);

}  // namespace p11shim
