// How many calls may be made again: a share of all calls and a few per second on top. What was not used is kept for ten seconds'
// worth of the latter at the most: a storm of retries must not keep members down that could come back, however busy they were
// before.
#pragma once

#include <algorithm>
#include <cstdint>

#include "proxyd/config/config.h"

namespace p11shim {

class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetConfig& config)
      : config_(config), most_(kSeconds * config.per_second * kOne + kOne * (config.percent != 0)), saved_(most_) {}

  void call(std::uint64_t now_ms) {
    refill(now_ms);
    saved_ = std::min(saved_ + config_.percent * kOne / 100, most_);
  }
  // Takes one retry from the budget; false: it is used up.
  bool take(std::uint64_t now_ms) {
    refill(now_ms);
    if (saved_ < kOne) return false;
    saved_ -= kOne;
    return true;
  }

 private:
  static constexpr std::uint64_t kSeconds = 10;
  static constexpr std::uint64_t kOne = 1000;  // one retry
  void refill(std::uint64_t now_ms) {
    if (now_ms > refilled_ms_ && refilled_ms_ != 0)
      saved_ = std::min(saved_ + std::min<std::uint64_t>(now_ms - refilled_ms_, kSeconds * 1000) * config_.per_second,
                        most_);
    refilled_ms_ = std::max(refilled_ms_, now_ms);
  }

  const RetryBudgetConfig config_;
  const std::uint64_t most_;
  std::uint64_t saved_;
  std::uint64_t refilled_ms_ = 0;
};

}  // namespace p11shim
