#include "proxyd/stats/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace p11shim {

namespace {

constexpr std::uint64_t kSubBuckets = std::uint64_t{1} << Histogram::kSubBucketBits;

// How far a value of this bucket is shifted to the right to be its bucket's number within [32, 64).
constexpr unsigned shift_of(std::size_t bucket) noexcept {
  return bucket < 2 * kSubBuckets ? 0 : static_cast<unsigned>(bucket / kSubBuckets - 1);
}

std::uint64_t number(const nlohmann::json& json) {
  if (!json.is_number_unsigned()) throw std::invalid_argument("a histogram consists of unsigned numbers");
  return json.get<std::uint64_t>();
}

}  // namespace

std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
  value = std::min(value, kLimit - 1);
  if (value < 2 * kSubBuckets) return value;
  const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBucketBits;
  return shift * kSubBuckets + (value >> shift);
}

std::uint64_t Histogram::lowest(std::size_t bucket) noexcept {
  const unsigned shift = shift_of(bucket);
  return (bucket - shift * kSubBuckets) << shift;
}

std::uint64_t Histogram::highest(std::size_t bucket) noexcept {
  return lowest(bucket) + (std::uint64_t{1} << shift_of(bucket)) - 1;
}

void Histogram::record(std::uint64_t nanoseconds) noexcept {
  ++buckets_[bucket_of(nanoseconds)];
  ++count_;
  sum_ += nanoseconds;
  min_ = std::min(min_, nanoseconds);
  max_ = std::max(max_, nanoseconds);
}

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

Histogram Histogram::since(const Histogram& earlier) const noexcept {
  Histogram later;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] < earlier.buckets_[i]) return *this;
    const std::uint64_t added = buckets_[i] - earlier.buckets_[i];
    if (added == 0) continue;
    later.buckets_[i] = added;
    later.count_ += added;
    later.min_ = std::min(later.min_, std::max(min_, lowest(i)));
    later.max_ = i + 1 == kBuckets ? max_ : std::min(max_, highest(i));
  }
  later.sum_ = sum_ - std::min(sum_, earlier.sum_);
  return later;
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::uint64_t Histogram::percentile(double percent) const noexcept {
  if (count_ == 0) return 0;
  const double share = std::ceil(std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(count_));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(share), 1, count_);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen < rank) continue;
    const std::uint64_t middle = lowest(i) + (highest(i) - lowest(i)) / 2;
    return std::clamp(middle, min_, max_);
  }
  return max_;
}

nlohmann::json Histogram::summary() const {
  return {{"count", count()},         {"mean_ns", std::llround(mean())}, {"min_ns", min()},
          {"max_ns", max()},          {"p50_ns", percentile(50)},        {"p90_ns", percentile(90)},
          {"p99_ns", percentile(99)}, {"p999_ns", percentile(99.9)}};
}

nlohmann::json Histogram::raw() const {
  auto buckets = nlohmann::json::array();
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] != 0) buckets.push_back({lowest(i), buckets_[i]});
  }
  return {{"sum_ns", sum()}, {"min_ns", min()}, {"max_ns", max()}, {"buckets", std::move(buckets)}};
}

Histogram Histogram::from_raw(const nlohmann::json& raw) {
  Histogram histogram;
  try {
    for (const auto& entry : raw.at("buckets")) {
      const std::uint64_t low = number(entry.at(0));
      const std::size_t bucket = bucket_of(low);
      const std::uint64_t count = number(entry.at(1));
      if (lowest(bucket) != low) throw std::invalid_argument("a histogram's bucket begins where none does");
      histogram.buckets_[bucket] += count;
      histogram.count_ += count;
    }
    histogram.sum_ = number(raw.at("sum_ns"));
    if (histogram.count_ != 0) histogram.min_ = number(raw.at("min_ns"));
    histogram.max_ = number(raw.at("max_ns"));
  } catch (const nlohmann::json::exception& error) {
    throw std::invalid_argument(std::string("not a histogram: ") + error.what());
  }
  if (histogram.count_ != 0 && histogram.min_ > histogram.max_) {
    throw std::invalid_argument("a histogram's minimum exceeds its maximum");
  }
  return histogram;
}

}  // namespace p11shim
