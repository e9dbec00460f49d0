#include "tools/shimctl/bench/comparison.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/problem.h"
#include "tools/shimctl/bench/load_record.h"
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
    const double median = slice["median_ns"].get<double>();
    if (median > 0) medians.push_back(std::log(median));
  }
  return medians;
}

json compare_tests(const json& a, const json& b, double alpha, double tolerance) {
  json row{{"name", a["name"]},
           {"data_size", a["data_size"]},
           {"side", a["side"]},
           {"run", a.contains("run") ? a["run"] : json()}};
  const bool measured = a.contains("latency") && b.contains("latency") && a["count"] != 0 && b["count"] != 0;
  if (!measured) {
    row["verdict"] = "missing";
    row["reason"] = "not measured in both";
    row["ratio"] = row["low"] = row["high"] = row["p"] = nullptr;
    return row;
  }
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
  row["a"] = {{"rate", a["rate"]["per_second"]}, {"failed", a["failed"]}};
  row["b"] = {{"rate", b["rate"]["per_second"]}, {"failed", b["failed"]}};
  row["reason"] = nullptr;
  // An operation that fails in the blink of an eye must not look like a fast one.
  const auto failing = [](const json& test) { return test["failed"].get<double>() + test["wrong"].get<double>(); };
  if (failing(b) > failing(a)) row["reason"] = "more operations fail than before";
  return row;
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
  if (schema == kSchema && document.contains("data") && document["data"].contains("tests")) return document;
  if (schema.starts_with("p11shim.bench.run/")) {
    throw Failure(ExitCode::kConfiguration, {.what = in_quotes(path) + " is a report of another version",
                                             .why = "it is " + schema + ", and this shimctl reads " + kSchema,
                                             .fix = "measure again, or use the shimctl that wrote it"});
  }
  throw Failure(ExitCode::kConfiguration, in_quotes(path) + " is no report of the bench",
                "shimctl bench run -o json > FILE writes one");
}

json compare_reports(const json& a, const json& b, double alpha, double tolerance) {
  std::map<std::string, const json*> former;
  for (const auto& test : a["data"]["tests"]) former[identity(test)] = &test;
  json rows = json::array();
  std::vector<double> ratios;
  for (const auto& test : b["data"]["tests"]) {
    const auto found = former.find(identity(test));
    if (found == former.end()) continue;
    rows.push_back(compare_tests(*found->second, test, alpha, tolerance));
    if (!rows.back()["ratio"].is_null()) ratios.push_back(rows.back()["ratio"].get<double>());
  }
  return {{"alpha", alpha},
          {"tolerance", tolerance},
          {"geometric_mean", ratios.empty() ? json() : json(geometric_mean(ratios))},
          {"complete", a["data"]["complete"] == true && b["data"]["complete"] == true},
          {"environment_differences", differences(a["data"]["environment"], b["data"]["environment"])},
          {"tests", std::move(rows)}};
}

}  // namespace p11shim
