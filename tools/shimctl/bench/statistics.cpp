#include "tools/shimctl/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace p11shim {

namespace {

constexpr int kResamples = 200;

Interval middle_95(std::vector<double>& drawn) {
  std::sort(drawn.begin(), drawn.end());
  const auto at = [&](double share) {
    return drawn[static_cast<std::size_t>(share * static_cast<double>(drawn.size() - 1))];
  };
  return {at(0.025), at(0.975)};
}

// Of neighbours, between 0 and 0.9.
double autocorrelation(std::span<const double> values) {
  if (values.size() < 4) return 0;
  const double mean = mean_of(values);
  double with_next = 0;
  double all = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    all += (values[i] - mean) * (values[i] - mean);
    if (i + 1 < values.size()) with_next += (values[i] - mean) * (values[i + 1] - mean);
  }
  return all > 0 ? std::clamp(with_next / all, 0.0, 0.9) : 0;
}

// How many independent values these are worth.
double effective_size(std::span<const double> values) {
  const double r = autocorrelation(values);
  return std::max(2.0, static_cast<double>(values.size()) * (1 - r) / (1 + r));
}

// A mean that a few disturbed slices do not move: the fifth at either end is left out (Yuen).
struct Centre {
  double value = 0;
  double squared_error = 0;  // as if the values were independent of each other
  double degrees = 1;
};
Centre centre_of(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t cut = sorted.size() / 5;
  const std::size_t kept = sorted.size() - 2 * cut;
  if (kept == 0) return {};
  const double value = mean_of(std::span(sorted).subspan(cut, kept));
  // What was left out counts for the spread as the outermost of what was kept.
  for (auto& each : sorted) each = std::clamp(each, sorted[cut], sorted[sorted.size() - 1 - cut]);
  const double spread = deviation_of(sorted);
  const auto n = static_cast<double>(sorted.size());
  const auto h = static_cast<double>(kept);
  return {.value = value,
          .squared_error = h > 1 ? spread * spread * (n - 1) / (h * (h - 1)) : 0,
          .degrees = std::max(1.0, h - 1)};
}

// Half of how far the halves of a run are apart: what it would be off by, had it been run at another time.
double drift(std::span<const double> values) {
  const auto half = values.size() / 2;
  return half == 0 ? 0 : std::abs(centre_of(values.first(half)).value - centre_of(values.subspan(half)).value) / 2;
}

// How much wider the error is because neighbours resemble each other.
double repetition(std::span<const double> values) {
  return static_cast<double>(values.size()) / effective_size(values);
}

// The continued fraction of the incomplete beta function (Lentz).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  double c = 1;
  double d = 1 / std::max(std::abs(1 - (a + b) * x / (a + 1)), kTiny);
  double h = d;
  for (int m = 1; m <= 300; ++m) {
    for (const double term : {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                              -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))}) {
      d = 1 + term * d;
      d = 1 / (std::abs(d) < kTiny ? kTiny : d);
      c = 1 + term / c;
      if (std::abs(c) < kTiny) c = kTiny;
      h *= d * c;
    }
    if (std::abs(d * c - 1) < 1e-12) break;
  }
  return h;
}

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log(1 - x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

Difference judged(double value, double error, double degrees, double alpha) {
  if (error <= 0) return {.value = value, .half_width = 0, .p = value == 0 ? 1.0 : 0.0};
  return {.value = value, .half_width = student_t(alpha, degrees) * error, .p = student_p(value / error, degrees)};
}

}  // namespace

double mean_of(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double deviation_of(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double geometric_mean(std::span<const double> ratios) {
  if (ratios.empty()) return 1;
  double sum = 0;
  for (const double ratio : ratios) sum += std::log(ratio);
  return std::exp(sum / static_cast<double>(ratios.size()));
}

bool supports_percentile(std::uint64_t count, double percent) {
  return static_cast<double>(count) * (100 - percent) / 100 >= 10 - 1e-6;
}

Interval bootstrap_percentile(std::span<const Histogram> slices, double percent) {
  if (slices.empty()) return {};
  std::minstd_rand random(1);
  std::uniform_int_distribution<std::size_t> pick(0, slices.size() - 1);
  std::vector<double> drawn;
  for (int i = 0; i < kResamples; ++i) {
    Histogram all;
    for (std::size_t j = 0; j < slices.size(); ++j) all.merge(slices[pick(random)]);
    drawn.push_back(static_cast<double>(all.percentile(percent)));
  }
  return middle_95(drawn);
}

Interval bootstrap_ratio(std::span<const double> above, std::span<const double> below) {
  if (above.empty()) return {};
  std::minstd_rand random(1);
  std::uniform_int_distribution<std::size_t> pick(0, above.size() - 1);
  std::vector<double> drawn;
  for (int i = 0; i < 5 * kResamples; ++i) {
    double sum = 0;
    double of = 0;
    for (std::size_t j = 0; j < above.size(); ++j) {
      const std::size_t slice = pick(random);
      sum += above[slice];
      of += below[slice];
    }
    drawn.push_back(of > 0 ? sum / of : 0);
  }
  return middle_95(drawn);
}

Fit fit_line(std::span<const double> x, std::span<const double> y) {
  const double mean_x = mean_of(x);
  const double mean_y = mean_of(y);
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  if (xx == 0) return {.fixed = mean_y};
  const double slope = xy / xx;
  return {.fixed = mean_y - slope * mean_x, .slope = slope, .r2 = yy > 0 ? xy * xy / (xx * yy) : 1};
}

Trend trend_of(std::span<const double> x, std::span<const double> y) {
  if (x.size() < 4) return {};
  const Fit line = fit_line(x, y);
  std::vector<double> rests;
  double squares = 0;
  double spread = 0;
  const double mean_x = mean_of(x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    rests.push_back(y[i] - line.fixed - line.slope * x[i]);
    squares += rests.back() * rests.back();
    spread += (x[i] - mean_x) * (x[i] - mean_x);
  }
  const double degrees = std::max(1.0, effective_size(rests) - 2);
  const double error = std::sqrt(squares / degrees / spread);
  if (error == 0) return {.slope = line.slope, .p = line.slope == 0 ? 1.0 : 0.0};
  return {.slope = line.slope, .p = student_p(line.slope / error, degrees)};
}

Uncertainty uncertainty_of_ratio(std::span<const double> above, std::span<const double> below) {
  const std::size_t half = above.size() / 2;
  const auto ratio = [](std::span<const double> up, std::span<const double> down) {
    const double sum = std::accumulate(up.begin(), up.end(), 0.0);
    const double of = std::accumulate(down.begin(), down.end(), 0.0);
    return of > 0 ? sum / of : 0;
  };
  const double all = ratio(above, below);
  if (half < 2 || all <= 0) return {.squared_error = HUGE_VAL};
  const double first = ratio(above.first(half), below.first(half));
  const double second = ratio(above.subspan(half), below.subspan(half));
  // A half without anything is as far off as can be.
  const double drifted = first > 0 && second > 0 ? std::abs(std::log(first / second)) / 2 : 1;
  std::vector<double> rests;
  const double mean = mean_of(above);
  for (std::size_t i = 0; i < above.size(); ++i) rests.push_back((above[i] - all * below[i]) / mean);
  const double spread = deviation_of(rests);
  const double again = repetition(rests);
  const auto n = static_cast<double>(rests.size());
  return {.squared_error = spread * spread / n * again + drifted * drifted, .degrees = std::max(1.0, (n - 1) / again)};
}

Uncertainty uncertainty_of_interval(const Interval& interval, std::span<const double> values) {
  if (interval.low <= 0 || values.size() < kFewestForInterval) return {.squared_error = HUGE_VAL};
  const double again = repetition(values);
  const double drifted = drift(values);
  // No finer than a histogram's bucket.
  const double error = std::max(std::log(interval.high / interval.low) / (2 * 1.96), 1.0 / 64);
  return {.squared_error = error * error * again + drifted * drifted,
          .degrees = std::max(1.0, (static_cast<double>(values.size()) - 1) / again)};
}

Difference difference_of(double value, const Uncertainty& a, const Uncertainty& b, double alpha) {
  const double error = std::sqrt(a.squared_error + b.squared_error);
  if (!std::isfinite(error)) return {.value = value, .half_width = HUGE_VAL, .p = 1};
  return judged(value, error, std::max(2.0, a.degrees + b.degrees), alpha);
}

double student_p(double t, double degrees) { return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)); }

double student_t(double p, double degrees) {
  double low = 0;
  double high = 1e4;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (student_p(middle, degrees) > p ? low : high) = middle;
  }
  return high;
}

Difference paired_difference(std::span<const double> values, double alpha) {
  if (values.size() < 3) return {};
  const Centre centre = centre_of(values);
  const double again = repetition(values);
  return judged(centre.value, std::sqrt(centre.squared_error * again), std::max(1.0, centre.degrees / again), alpha);
}

Difference separate_difference(std::span<const double> a, std::span<const double> b, double alpha) {
  if (a.size() < 3 || b.size() < 3) return {};
  const Centre of_a = centre_of(a);
  const Centre of_b = centre_of(b);
  const double again_a = repetition(a);
  const double again_b = repetition(b);
  const double drifts = drift(a) + drift(b);
  const double error = std::sqrt(of_a.squared_error * again_a + of_b.squared_error * again_b + drifts * drifts);
  const double degrees = of_a.degrees / again_a + of_b.degrees / again_b;
  return judged(of_b.value - of_a.value, error, std::max(2.0, degrees), alpha);
}

}  // namespace p11shim
