#include "tools/shimctl/bench/figure_comparison.h"

#include <cmath>
#include <sstream>

#include "tools/shimctl/bench/result_table.h"
#include "tools/shimctl/bench/statistics.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr double kFirstTail = 99;
constexpr double kOutOfProportion = 10;

// Of the slices' counts and times. Reports from before there was busy_s have the rate.
Uncertainty uncertainty_of_rate(const json& test) {
  std::vector<double> counts;
  std::vector<double> times;
  for (const auto& slice : test["slices"]) {
    const double count = slice["count"];
    const double rate = slice["rate"];
    const double time = slice.contains("busy_s") ? slice["busy_s"].get<double>() : rate > 0 ? count / rate : 0;
    if (time <= 0) continue;
    counts.push_back(count);
    times.push_back(time);
  }
  if (counts.size() < kFewestForInterval) return {.squared_error = HUGE_VAL};
  return uncertainty_of_ratio(counts, times);
}

const json* percentile_of(const json& test, double percent) {
  for (const auto& entry : seen_latency(test)["percentiles"]) {
    if (entry["percent"] == percent && !entry["low_ns"].is_null()) return &entry;
  }
  return nullptr;
}

std::vector<double> log_maxima(const json& test) {
  std::vector<double> worst;
  for (const auto& slice : test["slices"]) {
    if (!slice["max_ns"].is_null() && slice["max_ns"] > 0) worst.push_back(std::log(slice["max_ns"].get<double>()));
  }
  return worst;
}

// That the percentiles' intervals are apart is not enough: a handful of disturbed slices, which another run has not,
// does that. The slices' own worst times must tell the runs apart too, unless the change is out of all proportion.
double tail_p(const json& a, const json& b, const json& of_a, const json& of_b, double alpha) {
  const auto worst_a = log_maxima(a);
  const auto worst_b = log_maxima(b);
  const auto uncertainty = [](const json& entry, const std::vector<double>& worst) {
    return uncertainty_of_interval({entry["low_ns"], entry["high_ns"]}, worst);
  };
  const double value = std::log(of_b["ns"].get<double>() / of_a["ns"].get<double>());
  const double p = difference_of(value, uncertainty(of_a, worst_a), uncertainty(of_b, worst_b), alpha).p;
  if (std::abs(value) >= std::log(kOutOfProportion)) return p;
  const Difference slices = separate_difference(worst_a, worst_b, alpha);
  return slices.value * value > 0 ? std::max(p, slices.p) : 1;
}

std::string number(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

json FigureChange::to_json() const {
  return {{"figure", what}, {"a", a}, {"b", b}, {"ratio", ratio}, {"counted", counted}, {"p", p}, {"changed", certain}};
}

std::string FigureChange::text() const {
  std::ostringstream text;
  text.precision(3);
  text << what << " " << std::showpos << 100 * (a > 0 ? b / a - 1 : 0) << " %";
  return text.str();
}

FigureChange compare_rates(const json& a, const json& b, double alpha, double least) {
  FigureChange change{.what = "rate", .a = a["rate"]["per_second"], .b = b["rate"]["per_second"]};
  if (change.a <= 0 || change.b <= 0) return change;
  const double value = std::log(change.a / change.b);
  change.ratio = change.counted = std::exp(value);
  change.p = difference_of(value, uncertainty_of_rate(a), uncertainty_of_rate(b), alpha).p;
  change.certain = change.p < kShareOfAlpha * alpha && std::abs(value) >= std::log1p(least);
  return change;
}

std::vector<FigureChange> compare_tails(const json& a, const json& b, double alpha, double least) {
  std::vector<FigureChange> changes;
  for (const auto& entry : seen_latency(a)["percentiles"]) {
    const double percent = entry["percent"];
    const json* of_a = percentile_of(a, percent);
    const json* of_b = percentile_of(b, percent);
    if (percent < kFirstTail || of_a == nullptr || of_b == nullptr) continue;
    FigureChange change{.what = "p" + number(percent), .a = (*of_a)["ns"], .b = (*of_b)["ns"]};
    if (change.a <= 0 || change.b <= 0) continue;
    change.ratio = change.counted = change.b / change.a;
    change.p = tail_p(a, b, *of_a, *of_b, alpha);
    changes.push_back(std::move(change));
  }
  const double share = kShareOfAlpha * alpha / static_cast<double>(std::max<std::size_t>(changes.size(), 1));
  for (auto& change : changes)
    change.certain = change.p < share && std::abs(std::log(change.ratio)) >= std::log1p(least);
  return changes;
}

FigureChange agreed(FigureChange measured, const FigureChange& steadied) {
  measured.counted = nearer_to_one(measured.ratio, steadied.ratio);
  measured.p = std::max(measured.p, steadied.p);
  measured.certain = measured.certain && steadied.certain && measured.counted != 1;
  return measured;
}

double nearer_to_one(double a, double b) {
  if ((a > 1) != (b > 1)) return 1;
  return a > 1 ? std::min(a, b) : std::max(a, b);
}

bool fails_more(const json& a, const json& b, double alpha) {
  const auto failing = [](const json& test) { return test["failed"].get<double>() + test["wrong"].get<double>(); };
  const double of_a = failing(a);
  const double of_b = failing(b);
  const double all_a = of_a + a["count"].get<double>();
  const double all_b = of_b + b["count"].get<double>();
  if (of_b == 0 || all_a == 0 || of_b / all_b <= of_a / all_a) return false;
  if (of_a == 0) return true;
  const double together = (of_a + of_b) / (all_a + all_b);
  const double error = std::sqrt(together * (1 - together) * (1 / all_a + 1 / all_b));
  return error > 0 && student_p((of_b / all_b - of_a / all_a) / error, all_a + all_b) < alpha;
}

}  // namespace p11shim
