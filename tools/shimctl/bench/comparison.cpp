#include "tools/shimctl/bench/comparison.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/problem.h"
#include "tools/shimctl/bench/figure_comparison.h"
#include "tools/shimctl/bench/load_record.h"
#include "tools/shimctl/bench/machine_change.h"
#include "tools/shimctl/bench/report_shape.h"
#include "tools/shimctl/bench/statistics.h"
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

// By how much a test may be wrong, and what a change must at least be.
struct Bounds {
  double alpha = 0.01;
  double tolerance = 0.1;
  double doubt = 0;  // in logarithms, of what the machine explains

  double least(double change) const { return std::max(change, std::expm1(doubt)); }
};

struct Judged {
  Comparison median;
  std::string verdict;  // on the median
  FigureChange rate;
  std::vector<FigureChange> tails;
};

Judged judged(const json& a, const json& b, const Bounds& bounds) {
  const auto of_a = log_medians(a);
  const auto of_b = log_medians(b);
  const Difference found = separate_difference(of_a, of_b, bounds.alpha);
  const Comparison median{.ratio = std::exp(found.value),
                          .low = std::exp(found.value - found.half_width),
                          .high = std::exp(found.value + found.half_width),
                          .p = found.p,
                          .pairs = std::min(of_a.size(), of_b.size()),
                          .least = bounds.least(kLeastChangeOfRuns)};
  const double left = (1 - 2 * kShareOfAlpha) * bounds.alpha;  // by the other figures
  return {.median = median,
          .verdict = median.least > bounds.tolerance ? "noisy" : verdict_of(median, left, bounds.tolerance),
          .rate = compare_rates(a, b, bounds.alpha, bounds.least(kLeastOfRates)),
          .tails = compare_tails(a, b, bounds.alpha, bounds.least(bounds.tolerance))};
}

// A change is what is one as measured and also without the machine's own. That there is none is known if either is sure
// of it: a figure follows the machine, or it waits for something that does not.
std::string agreed(const std::string& measured, const std::string& steadied) {
  if (measured == steadied) return measured;
  return measured == "~" || steadied == "~" ? "~" : "noisy";
}

std::string change_text(double ratio) {
  std::ostringstream text;
  text.precision(3);
  text << std::showpos << 100 * (ratio - 1) << " %";
  return text.str();
}

// Leaves of `found` what remains without the machine's own change. Says it if that was one.
std::string take_out_machine(json& row, Judged& found, const json& a, const json& b, const Bounds& bounds) {
  const auto of_a = log_machine(a);
  const auto of_b = log_machine(b);
  const MachineChange machine = machine_change(of_a, of_b, bounds.alpha);
  const double reference = std::exp(mean_of(of_a));
  const Judged steadied = judged(without_machine(a, reference), without_machine(b, reference),
                                 {.alpha = bounds.alpha,
                                  .tolerance = bounds.tolerance,
                                  .doubt = kDoubtOfMachine * std::abs(std::log(machine.ratio))});
  row["machine"] = machine.to_json();
  row["without_machine"] = {{"ratio", steadied.median.ratio},
                            {"low", steadied.median.low},
                            {"high", steadied.median.high},
                            {"p", steadied.median.p},
                            {"verdict", steadied.verdict}};
  found.verdict = agreed(found.verdict, steadied.verdict);
  found.median.ratio = nearer_to_one(found.median.ratio, steadied.median.ratio);
  found.rate = agreed(found.rate, steadied.rate);
  for (std::size_t i = 0; i < found.tails.size(); ++i) found.tails[i] = agreed(found.tails[i], steadied.tails.at(i));
  if (!machine.differs(bounds.alpha)) return {};
  return "the machine itself " + change_text(machine.ratio) + ", without it " + change_text(steadied.median.ratio);
}

json compare_tests(const json& a, const json& b, bool same_work, const Bounds& bounds) {
  json row = row_of(a);
  Judged found = judged(a, b, bounds);
  row.update(comparison_json(found.median, bounds.alpha, bounds.tolerance));
  std::string reason;
  row["machine"] = row["without_machine"] = nullptr;
  if (same_work && !log_machine(a).empty() && !log_machine(b).empty())
    reason = take_out_machine(row, found, a, b, bounds);
  const double tolerance = bounds.tolerance;
  std::string verdict = found.verdict;
  bool regressed = verdict == "slower" && found.median.ratio > 1 + tolerance;
  row["figures"] = json::array();

  const FigureChange& rate = found.rate;
  row["figures"].push_back(rate.to_json());
  if (rate.certain) {
    if (rate.ratio > 1 || verdict == "~" || verdict == "noisy") verdict = rate.ratio > 1 ? "slower" : "faster";
    regressed = regressed || rate.counted > 1 + tolerance;
    add(reason, rate.text());
  } else if (rate.counted > 1 + tolerance && verdict != "slower") {
    verdict = "noisy";
    add(reason, rate.text() + ", perhaps by chance");
  }
  for (const auto& tail : found.tails) {
    row["figures"].push_back(tail.to_json());
    if (!tail.certain) continue;
    add(reason, tail.text());
    if (tail.ratio <= 1) continue;
    verdict = "slower";
    regressed = true;
  }
  // An operation that fails in the blink of an eye must not look like a fast one.
  if (fails_more(a, b, bounds.alpha)) {
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
json compare_found(const json& a, const json* b, bool same_work, const Bounds& bounds) {
  if (b == nullptr) return missing(row_of(a), "not in the second report", is_measured(a));
  if (!is_measured(a)) return missing(row_of(a), "the first: " + state_of(a), false);
  if (!is_measured(*b)) return missing(row_of(a), "the second: " + state_of(*b), true);
  return compare_tests(a, *b, same_work, bounds);
}

// Of all tests that both reports measured.
struct MachineSeries {
  std::vector<double> a;
  std::vector<double> b;

  void add(const json& test_a, const json& test_b) {
    const auto append = [](std::vector<double>& all, const std::vector<double>& more) {
      all.insert(all.end(), more.begin(), more.end());
    };
    append(a, log_machine(test_a));
    append(b, log_machine(test_b));
  }

  json to_json(const json& before, const json& after, double alpha) const {
    if (a.empty()) return nullptr;
    const MachineChange change = machine_change(a, b, alpha);
    json text = change.to_json();
    text.update({{"text", nullptr},
                 {"differs", change.differs(alpha)},
                 {"varied_a_percent", before["machine"]["varied_percent"]},
                 {"varied_b_percent", after["machine"]["varied_percent"]}});
    return text;
  }
};

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
  const bool comparable = same_work(before["environment"], after["environment"]);
  MachineSeries machine;
  for (const auto& test : before["tests"]) {
    const auto found = later.find(identity(test));
    const json* now = found == later.end() ? nullptr : found->second;
    rows.push_back(compare_found(test, now, comparable, {.alpha = alpha, .tolerance = tolerance}));
    if (rows.back().contains("machine") && !rows.back()["machine"].is_null()) machine.add(test, *now);
    if (found != later.end()) later.erase(found);
    if (!rows.back()["ratio"].is_null()) ratios.push_back(rows.back()["ratio"].get<double>());
  }
  for (const auto& test : after["tests"]) {
    if (later.contains(identity(test))) rows.push_back(missing(row_of(test), "not in the first report", false));
  }
  return {{"alpha", alpha},
          {"tolerance", tolerance},
          {"geometric_mean", ratios.empty() ? json() : json(geometric_mean(ratios))},
          {"machine", machine.to_json(before["environment"], after["environment"], alpha)},
          {"complete", before["complete"] == true && after["complete"] == true},
          {"compared", ratios.size()},
          {"environment_differences", differences(before["environment"], after["environment"])},
          {"settings_differences", settings_differences(before["settings"], after["settings"])},
          {"tests", std::move(rows)}};
}

}  // namespace p11shim
