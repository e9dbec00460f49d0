#include "tools/shimctl/commands/bench/bench_compare.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/problem.h"
#include "tools/shimctl/bench/comparison.h"
#include "tools/shimctl/bench/html_report.h"
#include "tools/shimctl/bench/machine_change.h"
#include "tools/shimctl/commands/bench/bench_document.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr double kTolerance = 0.1;

// "10%" or "0.1".
double parse_share(const std::string& text) {
  char* end = nullptr;
  double share = std::strtod(text.c_str(), &end);
  if (*end == '%') {
    share /= 100;
    ++end;
  }
  if (end == text.c_str() || *end != '\0' || !(share > 0 && share < 10)) {
    throw Failure(ExitCode::kUsage, in_quotes(text) + " is no share", "--fail-on-regress 10%");
  }
  return share;
}

std::string change_text(double ratio) {
  std::ostringstream text;
  text.precision(3);
  text << std::showpos << 100 * (ratio - 1) << " %";
  return text.str();
}

Value row_of(const json& test) {
  Value row = value_of(test);
  const bool compared = !test["ratio"].is_null();
  const bool same = test["verdict"] == "~";
  row.set("change", compared ? Value(same ? "~" : change_text(test["ratio"])) : Value());
  row.set("interval", compared ? Value(change_text(test["low"]) + " … " + change_text(test["high"])) : Value());
  row.set("rate_a", compared ? Value(rate_text(test["a"]["rate"])) : Value());
  row.set("rate_b", compared ? Value(rate_text(test["b"]["rate"])) : Value());
  return row;
}

Report table_of(const json& data) {
  Report report{.name = "bench.compare", .rows_key = "tests", .if_empty = "the reports have no test in common"};
  report.data = value_of(data);
  report.columns = {{"TEST", "name"},
                    {"SIZE", "data_size", Align::kRight},
                    {"OPS/S A", "rate_a", Align::kRight},
                    {"OPS/S B", "rate_b", Align::kRight},
                    {"LATENCY", "change", Align::kRight},
                    {"99 % SURE", "interval", Align::kRight},
                    {"VERDICT", "verdict"},
                    {"NOTE", "reason"}};
  for (const auto& test : data["tests"]) report.rows.push_back(row_of(test));
  return report;
}

}  // namespace

ExitCode bench_compare(const Invocation& invocation, const BenchCompareOptions& options) {
  const bool judged = !options.fail_on_regress.empty();
  const double tolerance = judged ? parse_share(options.fail_on_regress) : kTolerance;
  if (!(options.alpha > 0 && options.alpha < 0.5)) throw Failure(ExitCode::kUsage, "--alpha is between 0 and 0.5", "");
  check_outputs({.report = options.report});
  const json before = read_bench_report(options.before);
  const json after = read_bench_report(options.after);
  json data = compare_reports(before, after, options.alpha, tolerance);
  describe_machine(data, options.before, options.after);
  bool regressed = false;
  bool unclear = false;
  for (const auto& test : data["tests"]) {
    regressed = regressed || test["regressed"] == true;
    unclear = unclear || test["verdict"] == "noisy";
  }
  data["fail_on_regress"] = judged ? json(tolerance) : json();
  data["regressed"] = judged ? json(regressed) : json();
  Report report = table_of(data);
  if (invocation.format == OutputFormat::kTable) {
    report.data = Value::Record{};
    if (!data["geometric_mean"].is_null())
      report.data.set("geometric mean of latencies", change_text(data["geometric_mean"]));
  }
  present(invocation, report);
  if (!data["machine"].is_null() && !data["machine"]["text"].is_null())
    note(invocation, data["machine"]["text"].get<std::string>());
  if (data["complete"] != true) note(invocation, "one of the reports is of an interrupted run");
  for (const auto& difference : data["environment_differences"])
    note(invocation, "the reports were made with different " + difference["what"].get<std::string>());
  for (const auto& difference : data["settings_differences"]) {
    note(invocation, "the reports were made with different settings: " + difference["what"].get<std::string>() + " " +
                         difference["a"].dump() + " and " + difference["b"].dump());
  }
  if (!options.report.empty()) write_file(options.report, html_report({before, after}, data));
  if (regressed && judged) return ExitCode::kNegative;
  if (judged && data["compared"] == 0) {
    note(invocation, "nothing was measured in both reports: nothing can be said");
    return ExitCode::kPartial;
  }
  if (unclear && judged) {
    note(invocation, "too noisy to say that nothing regressed; measure longer, or on a quieter machine");
    return ExitCode::kPartial;
  }
  return ExitCode::kOk;
}

ExitCode bench_report(const Invocation& invocation, const BenchReportOptions& options) {
  if (options.files.empty() || options.files.size() > 2)
    throw Failure(ExitCode::kUsage, "one report, or two to compare", "shimctl bench report a.json --out a.html");
  check_outputs({.report = options.out});
  std::vector<json> documents;
  for (const auto& file : options.files) documents.push_back(read_bench_report(file));
  json comparison = documents.size() == 2 ? compare_reports(documents[0], documents[1], 0.01, kTolerance) : json();
  if (!comparison.is_null()) describe_machine(comparison, options.files[0], options.files[1]);
  if (!invocation.dry_run) write_file(options.out, html_report(documents, comparison));
  return ExitCode::kOk;
}

}  // namespace p11shim
