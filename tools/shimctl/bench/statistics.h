// The statistics of the bench. Times of neighbouring operations resemble each other, so whole slices of a run
// are resampled and compared, never single operations.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "proxyd/stats/histogram.h"

namespace p11shim {

double mean_of(std::span<const double> values);
double median_of(std::vector<double> values);
double deviation_of(std::span<const double> values);  // standard, of a sample
double geometric_mean(std::span<const double> ratios);

struct Interval {
  double low = 0;
  double high = 0;
};

// Whether `count` samples have at least ten beyond this percentile.
bool supports_percentile(std::uint64_t count, double percent);

// What fewer slices would say of their own spread is no interval.
inline constexpr std::size_t kFewestForInterval = 8;
// 95 % bootstrap intervals; slices are drawn with replacement. Deterministic.
Interval bootstrap_percentile(std::span<const Histogram> slices, double percent);
Interval bootstrap_ratio(std::span<const double> above, std::span<const double> below);  // of their sums

struct Fit {
  double fixed = 0;
  double slope = 0;
  double r2 = 0;  // 1: the line explains everything
};
Fit fit_line(std::span<const double> x, std::span<const double> y);

// The least squares slope and the probability of one so steep if there is none (two-sided; neighbouring
// values are taken for as many as their autocorrelation leaves).
struct Trend {
  double slope = 0;
  double p = 1;
};
Trend trend_of(std::span<const double> x, std::span<const double> y);

// P(|T| > |t|) of Student's distribution.
double student_p(double t, double degrees);
// t with P(|T| > t) = p.
double student_t(double p, double degrees);

// The two-sided probability that two samples' trimmed means differ so much by chance. (What disturbs a slice on a busy
// machine disturbs it much: plain means would be as uncertain as the worst slice.)
struct Difference {
  double value = 0;       // trimmed mean of b - that of a
  double half_width = 0;  // of the interval at `alpha`
  double p = 1;
};
// `values` are differences of interleaved pairs.
Difference paired_difference(std::span<const double> values, double alpha);
// Two runs one after the other: what their own drift is worth is part of the uncertainty.
Difference separate_difference(std::span<const double> a, std::span<const double> b, double alpha);

// What a figure of one run, in logarithms, is uncertain by.
struct Uncertainty {
  double squared_error = 0;
  double degrees = 1;
};
// Of the ratio of two sums, slice by slice; nothing is left out here, because a sum hides nothing.
Uncertainty uncertainty_of_ratio(std::span<const double> above, std::span<const double> below);
// Of a percentile with a 95 % interval. `values` are slices' logarithms, which show how the run drifted.
Uncertainty uncertainty_of_interval(const Interval& interval, std::span<const double> values);
// Of two figures that differ by `value`.
Difference difference_of(double value, const Uncertainty& a, const Uncertainty& b, double alpha);

}  // namespace p11shim
