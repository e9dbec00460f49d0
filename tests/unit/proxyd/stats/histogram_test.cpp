// Compared with the exact answer: the sorted list of all recorded values.
#include "proxyd/stats/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <vector>

namespace p11shim {
namespace {

constexpr double kPercents[] = {0, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};

std::uint64_t exact_percentile(std::vector<std::uint64_t> values, double percent) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
  return values[rank == 0 ? 0 : rank - 1];
}

// Latencies from nanoseconds to minutes, evenly spread over the orders of magnitude.
std::vector<std::uint64_t> some_latencies(std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(0, 39);
  std::vector<std::uint64_t> values(count);
  for (auto& value : values) value = static_cast<std::uint64_t>(std::exp2(exponent(random)));
  return values;
}

Histogram histogram_of(const std::vector<std::uint64_t>& values) {
  Histogram histogram;
  for (const auto value : values) histogram.record(value);
  return histogram;
}

TEST(Histogram, IsEmptyAtFirst) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.percentile(99), 0u);
  EXPECT_EQ(histogram.mean(), 0.0);
}

TEST(Histogram, TellsEveryValueWithinOnePart64) {
  for (const auto value : some_latencies(20000, 1)) {
    Histogram histogram;
    histogram.record(0);  // so that the answer is the bucket's middle, not the only value
    histogram.record(value);
    histogram.record(Histogram::kLimit - 1);
    const auto told = static_cast<double>(histogram.percentile(60));
    ASSERT_LE(std::abs(told - static_cast<double>(value)), static_cast<double>(value) / 64) << value;
  }
}

TEST(Histogram, TellsSmallValuesExactly) {
  for (std::uint64_t value = 0; value < 64; ++value) {
    Histogram histogram;
    histogram.record(0);
    histogram.record(value);
    histogram.record(1000);
    EXPECT_EQ(histogram.percentile(60), value);
  }
}

TEST(Histogram, TellsPercentilesWithinOnePart64) {
  const auto values = some_latencies(100000, 2);
  const auto histogram = histogram_of(values);
  for (const double percent : kPercents) {
    const auto exact = static_cast<double>(exact_percentile(values, percent));
    EXPECT_NEAR(static_cast<double>(histogram.percentile(percent)), exact, exact / 64) << percent;
  }
}

TEST(Histogram, TellsExtremesAndMeanExactly) {
  const auto histogram = histogram_of({700, 100, 1'000'000'007});
  EXPECT_EQ(histogram.min(), 100u);
  EXPECT_EQ(histogram.max(), 1'000'000'007u);
  EXPECT_EQ(histogram.sum(), 1'000'000'807u);
  EXPECT_DOUBLE_EQ(histogram.mean(), 1'000'000'807 / 3.0);
}

TEST(Histogram, NeverTellsAPercentileOutsideTheRecordedValues) {
  const auto histogram = histogram_of({1'000'003});
  for (const double percent : kPercents) EXPECT_EQ(histogram.percentile(percent), 1'000'003u);
}

TEST(Histogram, CountsWhatExceedsItsLimit) {
  const auto histogram = histogram_of({5, Histogram::kLimit, UINT64_MAX});
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.max(), UINT64_MAX);
  EXPECT_GE(histogram.percentile(100), Histogram::kLimit / 64 * 63);
}

TEST(Histogram, MergedEqualsRecordedTogether) {
  const auto some = some_latencies(5000, 3);
  const auto others = some_latencies(7000, 4);
  auto together = some;
  together.insert(together.end(), others.begin(), others.end());
  auto merged = histogram_of(some);
  merged.merge(histogram_of(others));
  EXPECT_EQ(merged, histogram_of(together));
}

TEST(Histogram, MergingAnEmptyOneChangesNothing) {
  auto histogram = histogram_of({3, 5});
  histogram.merge(Histogram());
  EXPECT_EQ(histogram, histogram_of({3, 5}));
}

TEST(Histogram, SinceHoldsWhatCameAfterwards) {
  const auto earlier = histogram_of(some_latencies(5000, 5));
  const auto added = some_latencies(300, 6);
  auto later = earlier;
  for (const auto value : added) later.record(value);

  const auto difference = later.since(earlier);
  EXPECT_EQ(difference.count(), added.size());
  EXPECT_EQ(difference.sum(), later.sum() - earlier.sum());
  for (const double percent : kPercents) {
    const auto exact = static_cast<double>(exact_percentile(added, percent));
    EXPECT_NEAR(static_cast<double>(difference.percentile(percent)), exact, exact / 32) << percent;
  }
}

TEST(Histogram, SinceItselfIsEmpty) {
  const auto histogram = histogram_of(some_latencies(50, 7));
  EXPECT_EQ(histogram.since(histogram).count(), 0u);
}

TEST(Histogram, SinceAForeignOneIsEverything) {
  const auto restarted = histogram_of({9});
  EXPECT_EQ(restarted.since(histogram_of({100, 200})), restarted);
}

TEST(Histogram, RawFormKeepsEverything) {
  for (const auto& histogram : {Histogram(), histogram_of({0}), histogram_of(some_latencies(3000, 8)),
                                histogram_of({Histogram::kLimit, UINT64_MAX / 2})}) {
    EXPECT_EQ(Histogram::from_raw(nlohmann::json::parse(histogram.raw().dump())), histogram);
  }
}

TEST(Histogram, RefusesWhatIsNoRawForm) {
  for (const char* text :
       {"null", "3", "[]", "{}", R"({"buckets":[]})", R"({"buckets":5,"sum_ns":0,"min_ns":0,"max_ns":0})",
        R"({"buckets":[[65,1]],"sum_ns":65,"min_ns":65,"max_ns":65})",
        R"({"buckets":[[64]],"sum_ns":1,"min_ns":1,"max_ns":1})",
        R"({"buckets":[[64,-1]],"sum_ns":1,"min_ns":1,"max_ns":1})",
        R"({"buckets":[["64",1]],"sum_ns":1,"min_ns":1,"max_ns":1})",
        R"({"buckets":[[64,1]],"sum_ns":64,"min_ns":64,"max_ns":63})",
        R"({"buckets":[[64,1]],"sum_ns":1.5,"min_ns":1,"max_ns":1})"}) {
    EXPECT_THROW(Histogram::from_raw(nlohmann::json::parse(text)), std::invalid_argument) << text;
  }
}

TEST(Histogram, SummaryNamesItsUnits) {
  const auto summary = histogram_of({10, 20, 30}).summary();
  EXPECT_EQ(
      summary,
      nlohmann::json::parse(
          R"({"count":3,"mean_ns":20,"min_ns":10,"max_ns":30,"p50_ns":20,"p90_ns":30,"p99_ns":30,"p999_ns":30})"));
}

}  // namespace
}  // namespace p11shim
