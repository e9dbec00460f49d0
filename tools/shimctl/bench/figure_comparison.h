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
  double ratio = 1;  // above 1: worse
  double p = 1;
  bool certain = false;  // by less than its share of alpha, and large enough

  nlohmann::json to_json() const;
  std::string text() const;  // "rate -30 %"
};

// Part of alpha that each of the two, the rate and the tail, may be wrong by.
inline constexpr double kShareOfAlpha = 0.1;

FigureChange compare_rates(const nlohmann::json& a, const nlohmann::json& b, double alpha);
// Of the percentiles from the 99th on that both samples support. `tolerance`: what is smaller is none.
std::vector<FigureChange> compare_tails(const nlohmann::json& a, const nlohmann::json& b, double alpha,
                                        double tolerance);

// Whether a larger part of operations fails in b than in a, by more than chance.
bool fails_more(const nlohmann::json& a, const nlohmann::json& b, double alpha);

}  // namespace p11shim
