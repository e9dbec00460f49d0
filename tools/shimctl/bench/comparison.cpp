#include "tools/shimctl/bench/comparison.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "config/problem.h"
#include "tools/shimctl/bench/figure_comparison.h"
#include "tools/shimctl/bench/load_record.h"
#include "tools/shimctl/bench/report_shape.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr char kSchema[] = "p11shim.bench.run/1";

std::string text_or(const json& test, const char* key) {
  if (!test.contains(key) || test[key].is_null()) return {};
  return test[key].is_string() ? test[key].get<std::string>() : test[key].dump();
}

// What makes two records the same test.
std::string identity(const json& test) {
  return test["name"].get<std::string>() + "|" + text_or(test, "data_size") + "|" + text_or(test, "side") + "|" +
         text_or(test, "run");
}

std::vector<double> log_medians(const json& test) {
  std::vector<double> medians;
  for (const auto& slice : test["slices"]) {
    const double median = slice["median_ns"].is_null() ? 0 : slice["median_ns"].get<double>();
    if (median > 0) medians.push_back(std::log(median));
  }
  return medians;
}

bool is_measured(const json& test) { return test.contains("latency") && test["count"] != 0; }

json row_of(const json& test) {
  return {{"name", test["name"]},
          {"data_size", test["data_size"]},
          {"side", test["side"]},
          {"run", test.contains("run") ? test["run"] : json()}};
}

json missing(json row, const std::string& why, bool regressed) {
  row.update({{"verdict", "missing"},
              {"reason", why},
              {"regressed", regressed},
              {"ratio", nullptr},
              {"low", nullptr},
              {"high", nullptr},
              {"p", nullptr}});
  return row;
}

std::string state_of(const json& test) {
  const auto reason = text_or(test, "reason");
  return text_or(test, "status") + (reason.empty() ? "" : ": " + reason);
}

void add(std::string& list, const std::string& more) { list += (list.empty() ? "" : "; ") + more; }

// What makes the two of a row hard to compare.
void add_settings(std::string& reason, const json& a, const json& b) {
  const auto open = [](const json& test, const char* key) {
    return test.contains("open_loop") && test["open_loop"].is_object() ? text_or(test["open_loop"], key) : "";
  };
  const auto differs = [&](const std::string& what, const std::string& before, const std::string& now) {
    if (before != now)
      add(reason, what + " " + (now.empty() ? "none" : now) + ", before " + (before.empty() ? "none" : before));
  };
  for (const char* key : {"threads", "connections"}) differs(key, text_or(a, key), text_or(b, key));
  differs("rate wanted", open(a, "rate_wanted"), open(b, "rate_wanted"));
  differs("arrivals", open(a, "arrivals"), open(b, "arrivals"));
}

json compare_tests(const json& a, const json& b, double alpha, double tolerance) {
  json row = row_of(a);
  const auto of_a = log_medians(a);
  const auto of_b = log_medians(b);
  const Difference found = separate_difference(of_a, of_b, alpha);
  const Comparison comparison{.ratio = std::exp(found.value),
                              .low = std::exp(found.value - found.half_width),
                              .high = std::exp(found.value + found.half_width),
                              .p = found.p,
                              .pairs = std::min(of_a.size(), of_b.size()),
                              .least = kLeastChangeOfRuns};
  row.update(comparison_json(comparison, alpha, tolerance));
  const double left = (1 - 2 * kShareOfAlpha) * alpha;  // by the other figures
  std::string verdict = verdict_of(comparison, left, tolerance);
  bool regressed = verdict == "slower" && comparison.ratio > 1 + tolerance;
  std::string reason;
  row["figures"] = json::array();

  const FigureChange rate = compare_rates(a, b, alpha);
  row["figures"].push_back(rate.to_json());
  if (rate.certain) {
    if (rate.ratio > 1 || verdict == "~" || verdict == "noisy") verdict = rate.ratio > 1 ? "slower" : "faster";
    regressed = regressed || rate.ratio > 1 + tolerance;
    add(reason, rate.text());
  } else if (rate.ratio > 1 + tolerance && verdict != "slower") {
    verdict = "noisy";
    add(reason, rate.text() + ", perhaps by chance");
  }
  for (const auto& tail : compare_tails(a, b, alpha, tolerance)) {
    row["figures"].push_back(tail.to_json());
    if (!tail.certain) continue;
    add(reason, tail.text());
    if (tail.ratio <= 1) continue;
    verdict = "slower";
    regressed = true;
  }
  // An operation that fails in the blink of an eye must not look like a fast one.
  if (fails_more(a, b, alpha)) {
    add(reason, "more operations fail than before");
    regressed = true;
  }
  add_settings(reason, a, b);
  row["verdict"] = verdict;
  row["regressed"] = regressed;
  row["reason"] = reason.empty() ? json() : json(reason);
  row["a"] = {{"rate", a["rate"]["per_second"]}, {"failed", a["failed"]}};
  row["b"] = {{"rate", b["rate"]["per_second"]}, {"failed", b["failed"]}};
  return row;
}

// `b` may be null. What cannot be measured any more is the worst regression of all.
json compare_found(const json& a, const json* b, double alpha, double tolerance) {
  if (b == nullptr) return missing(row_of(a), "not in the second report", is_measured(a));
  if (!is_measured(a)) return missing(row_of(a), "the first: " + state_of(a), false);
  if (!is_measured(*b)) return missing(row_of(a), "the second: " + state_of(*b), true);
  return compare_tests(a, *b, alpha, tolerance);
}

json settings_differences(const json& a, const json& b) {
  json list = json::array();
  for (const char* key : {"threads", "connections", "rate", "arrivals", "duration", "iterations", "warmup",
                          "data_sizes", "key", "versus"}) {
    if (a.value(key, json()) != b.value(key, json()))
      list.push_back({{"what", key}, {"a", a.value(key, json())}, {"b", b.value(key, json())}});
  }
  return list;
}

json differences(const json& a, const json& b) {
  json list = json::array();
  for (const char* key : {"cpu", "cpus", "governor", "kernel", "allowed_cpus"}) {
    if (a.value(key, json()) != b.value(key, json()))
      list.push_back({{"what", key}, {"a", a.value(key, json())}, {"b", b.value(key, json())}});
  }
  return list;
}

}  // namespace

json read_bench_report(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Failure(ExitCode::kNotFound, "there is no file " + in_quotes(path), "");
  const json document = json::parse(stream, nullptr, false);
  const std::string schema = document.is_object() && document.contains("schema") && document["schema"].is_string()
                                 ? document["schema"].get<std::string>()
                                 : "";
  if (schema.starts_with("p11shim.bench.run/") && schema != kSchema) {
    throw Failure(ExitCode::kConfiguration, {.what = in_quotes(path) + " is a report of another version",
                                             .why = "it is " + schema + ", and this shimctl reads " + kSchema,
                                             .fix = "measure again, or use the shimctl that wrote it"});
  }
  if (schema != kSchema) {
    throw Failure(ExitCode::kConfiguration, in_quotes(path) + " is no report of the bench",
                  "shimctl bench run -o json > FILE writes one");
  }
  if (const std::string flaw = report_flaw(document); !flaw.empty())
    throw Failure(ExitCode::kConfiguration,
                  {.what = in_quotes(path) + " is damaged", .why = flaw, .fix = "measure again"});
  return document;
}

json compare_reports(const json& a, const json& b, double alpha, double tolerance) {
  const json& before = a["data"];
  const json& after = b["data"];
  std::map<std::string, const json*> later;
  for (const auto& test : after["tests"]) later[identity(test)] = &test;
  json rows = json::array();
  std::vector<double> ratios;
  for (const auto& test : before["tests"]) {
    const auto found = later.find(identity(test));
    rows.push_back(compare_found(test, found == later.end() ? nullptr : found->second, alpha, tolerance));
    if (found != later.end()) later.erase(found);
    if (!rows.back()["ratio"].is_null()) ratios.push_back(rows.back()["ratio"].get<double>());
  }
  for (const auto& test : after["tests"]) {
    if (later.contains(identity(test))) rows.push_back(missing(row_of(test), "not in the first report", false));
  }
  return {{"alpha", alpha},
          {"tolerance", tolerance},
          {"geometric_mean", ratios.empty() ? json() : json(geometric_mean(ratios))},
          {"complete", before["complete"] == true && after["complete"] == true},
          {"compared", ratios.size()},
          {"environment_differences", differences(before["environment"], after["environment"])},
          {"settings_differences", settings_differences(before["settings"], after["settings"])},
          {"tests", std::move(rows)}};
}

}  // namespace p11shim
