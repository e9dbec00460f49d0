#include "tools/shimctl/bench/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tools/shimctl/bench/capacity.h"
#include "tools/shimctl/bench/load_record.h"

namespace p11shim {
namespace {

std::vector<double> normals(std::size_t count, double mean, double deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> draw(mean, deviation);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(draw(random));
  return values;
}

TEST(Statistics, StudentsDistributionIsTheTables) {
  EXPECT_NEAR(student_p(2.228, 10), 0.05, 1e-4);
  EXPECT_NEAR(student_p(3.169, 10), 0.01, 1e-4);
  EXPECT_NEAR(student_p(12.706, 1), 0.05, 1e-4);
  EXPECT_NEAR(student_p(0, 5), 1, 1e-9);
  EXPECT_NEAR(student_t(0.01, 23), 2.807, 1e-3);
}

TEST(Statistics, PercentilesNeedTenSamplesBeyondThem) {
  EXPECT_TRUE(supports_percentile(1000, 99));
  EXPECT_FALSE(supports_percentile(999, 99));
  EXPECT_TRUE(supports_percentile(100'000, 99.99));
  EXPECT_FALSE(supports_percentile(100, 99.9));
}

TEST(Statistics, ALineIsFitted) {
  const std::vector<double> x{16, 1024, 4096};
  const std::vector<double> y{1016, 3032, 9176};
  const Fit fit = fit_line(x, y);
  EXPECT_NEAR(fit.slope, 2, 1e-9);
  EXPECT_NEAR(fit.fixed, 984, 1e-6);
  EXPECT_NEAR(fit.r2, 1, 1e-9);
}

TEST(Statistics, ChanceIsSeldomCalledAChange) {
  int paired = 0;
  int separate = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    const auto a = normals(24, 0, 0.05, 2 * seed);
    const auto b = normals(24, 0, 0.05, 2 * seed + 1);
    paired += paired_difference(a, 0.01).p < 0.01;
    separate += separate_difference(a, b, 0.01).p < 0.01;
  }
  EXPECT_LE(paired, 12) << "of 400 at 1 %";
  EXPECT_LE(separate, 12);
}

TEST(Statistics, ARealChangeIsFound) {
  int paired = 0;
  int separate = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    const auto a = normals(24, 0, 0.05, 2 * seed);
    const auto b = normals(24, std::log(1.1), 0.05, 2 * seed + 1);
    std::vector<double> differences;
    for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(b[i] - a[i]);
    paired += paired_difference(differences, 0.01).p < 0.01;
    separate += separate_difference(a, b, 0.01).p < 0.01;
  }
  EXPECT_GE(paired, 95);
  EXPECT_GE(separate, 80) << "it allows for a drift between the runs";
}

TEST(Statistics, ATrendIsTold) {
  std::vector<double> x;
  auto flat = normals(60, 100, 2, 1);
  auto rising = flat;
  for (std::size_t i = 0; i < flat.size(); ++i) {
    x.push_back(static_cast<double>(i));
    rising[i] += 0.5 * static_cast<double>(i);
  }
  EXPECT_GT(trend_of(x, flat).p, 0.01);
  EXPECT_LT(trend_of(x, rising).p, 0.01);
  EXPECT_NEAR(trend_of(x, rising).slope, 0.5, 0.1);
}

TEST(Statistics, PercentilesAreFinerThanBuckets) {
  Histogram histogram;
  for (std::uint64_t i = 0; i < 1000; ++i) histogram.record(100'000 + i);
  EXPECT_NEAR(fine_percentile(histogram, 50), 100'500, 700);
  EXPECT_EQ(fine_percentile(Histogram(), 50), 0);
}

TEST(Statistics, BootstrapIntervalsHoldTheTruth) {
  std::vector<Histogram> slices(30);
  std::mt19937 random(7);
  std::exponential_distribution<double> draw(1 / 1e6);
  for (auto& slice : slices) {
    for (int i = 0; i < 200; ++i) slice.record(static_cast<std::uint64_t>(draw(random)));
  }
  const double truth = -std::log(0.1) * 1e6;  // the 90th percentile
  const Interval interval = bootstrap_percentile(slices, 90);
  EXPECT_LT(interval.low, truth);
  EXPECT_GT(interval.high, truth);
  EXPECT_LT(interval.high - interval.low, 0.2 * truth);
}

Histogram exponential(double mean_ns, unsigned seed) {
  Histogram histogram;
  std::mt19937 random(seed);
  std::exponential_distribution<double> draw(1 / mean_ns);
  for (int i = 0; i < 20'000; ++i) histogram.record(static_cast<std::uint64_t>(draw(random)));
  return histogram;
}

TEST(Capacity, ErlangCIsTheTables) {
  EXPECT_NEAR(erlang_c(0.5, 1), 0.5, 1e-9);
  EXPECT_NEAR(erlang_c(2, 3), 0.4444, 1e-4);
  EXPECT_NEAR(erlang_c(8, 10), 0.4092, 1e-4);
  EXPECT_EQ(erlang_c(3, 3), 1);
}

TEST(Capacity, OneExponentialServerIsTheTextbooks) {
  const ServiceTimes times(exponential(5e6, 1));
  const double rate = 0.7 / times.mean_s();
  const double textbook = -std::log(0.01) * times.mean_s() / 0.3;  // M/M/1
  EXPECT_NEAR(predicted_percentile(times, rate, 1, 99), textbook, 0.1 * textbook);
  EXPECT_FALSE(std::isfinite(predicted_percentile(times, 1.1 / times.mean_s(), 1, 99)));
}

TEST(Capacity, ThePredictionIsNearSimulatedHsms) {
  Histogram steady;
  for (std::uint64_t i = 0; i < 1000; ++i) steady.record(5'000'000 + 1000 * i);
  for (const auto& histogram : {steady, exponential(5e6, 2)}) {
    const ServiceTimes times(histogram);
    for (const unsigned servers : {1u, 4u, 16u}) {
      const double rate = 0.8 * servers / times.mean_s();
      const double simulated = simulated_percentile(times, rate, servers, 99, 200'000, 1);
      EXPECT_NEAR(predicted_percentile(times, rate, servers, 99), simulated, 0.15 * simulated) << servers;
    }
  }
}

}  // namespace
}  // namespace p11shim
