// What else than the median tells two measurements of a test apart: the rate, and the percentiles far out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace p11shim {

struct FigureChange {
  std::string what;  // "rate", "p99"
  double a = 0;
  double b = 0;
  double ratio = 1;    // above 1: worse
  double counted = 1;  // the part of it that the machine's own change does not explain
  double p = 1;
  bool certain = false;  // by less than its share of alpha, and large enough

  nlohmann::json to_json() const;
  std::string text() const;  // "rate -30 %"
};

// Part of alpha that each of the two, the rate and the tail, may be wrong by.
inline constexpr double kShareOfAlpha = 0.1;

// `least`: what is smaller is no change.
inline constexpr double kLeastOfRates = 0.05;
FigureChange compare_rates(const nlohmann::json& a, const nlohmann::json& b, double alpha,
                           double least = kLeastOfRates);
// Of the percentiles from the 99th on that both samples support.
std::vector<FigureChange> compare_tails(const nlohmann::json& a, const nlohmann::json& b, double alpha, double least);

// Of the same figure as it was measured and without the machine's own change: what both say.
FigureChange agreed(FigureChange measured, const FigureChange& steadied);
// The one of two ratios that is nearer to no change; 1 if they say opposite things.
double nearer_to_one(double a, double b);

// Whether a larger part of operations fails in b than in a, by more than chance.
bool fails_more(const nlohmann::json& a, const nlohmann::json& b, double alpha);

}  // namespace p11shim
