// A latency histogram of fixed size: every value is reported within 1/64 of what was recorded.
//
// Buckets are linear within an octave and octaves double (log-linear): values below 64 ns have a bucket each,
// then every octave has 32. A percentile answers the middle of its bucket, never outside [min, max].
// Histograms with the same buckets add and subtract exactly, so those of several members, proxyds or points
// in time combine without loss. Values from kLimit on are counted in the last bucket; max() still tells them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace p11shim {

class Histogram {
 public:
  static constexpr unsigned kSubBucketBits = 5;
  static constexpr unsigned kLimitBits = 40;  // about 18 minutes in nanoseconds
  static constexpr std::uint64_t kLimit = std::uint64_t{1} << kLimitBits;
  static constexpr std::size_t kBuckets = (kLimitBits - kSubBucketBits + 1) << kSubBucketBits;

  void record(std::uint64_t nanoseconds) noexcept;
  void merge(const Histogram& other) noexcept;

  // What was recorded after `earlier`, a previous copy of this histogram. min() and max() are then bucket
  // bounds. If `earlier` is not a previous copy (proxyd restarted), everything in this one is new.
  Histogram since(const Histogram& earlier) const noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t sum() const noexcept { return sum_; }
  std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const noexcept { return max_; }
  double mean() const noexcept;

  // The value that `percent` (0 to 100) of the recorded values do not exceed; 0 if nothing was recorded.
  std::uint64_t percentile(double percent) const noexcept;

  // Count, mean, extremes and the usual percentiles, all in nanoseconds.
  nlohmann::json summary() const;
  // Everything: sum, extremes and [lowest value of the bucket, count] for each bucket that is not empty.
  nlohmann::json raw() const;
  // Throws std::invalid_argument on anything that raw() does not write.
  static Histogram from_raw(const nlohmann::json& raw);

  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  static std::size_t bucket_of(std::uint64_t value) noexcept;
  static std::uint64_t lowest(std::size_t bucket) noexcept;
  static std::uint64_t highest(std::size_t bucket) noexcept;

  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t min_ = UINT64_MAX;
  std::uint64_t max_ = 0;
  std::array<std::uint64_t, kBuckets> buckets_{};
};

}  // namespace p11shim
