// How many calls may be made again: a share of those of the last ten seconds and a few per second on top. A storm of retries
// must not keep members down that could come back.
#pragma once

#include <array>
#include <cstdint>

#include "proxyd/config/config.h"

namespace p11shim {

class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetConfig& config) : config_(config) {}

  void call(std::uint64_t now_ms) { ++second(now_ms).calls; }
  // Takes one retry from the budget; false: it is used up.
  bool take(std::uint64_t now_ms) {
    second(now_ms);
    std::uint64_t calls = 0;
    std::uint64_t retries = 0;
    const std::uint64_t newest = now_ms / 1000 + 1;
    for (const Second& each : seconds_) {
      if (each.number + kSeconds <= newest) continue;
      calls += each.calls;
      retries += each.retries;
    }
    if (retries * 100 >= calls * config_.percent + std::uint64_t{config_.per_second} * kSeconds * 100) return false;
    ++second(now_ms).retries;
    return true;
  }

 private:
  static constexpr std::size_t kSeconds = 10;
  struct Second {
    std::uint64_t number = 0;
    std::uint64_t calls = 0;
    std::uint64_t retries = 0;
  };
  Second& second(std::uint64_t now_ms) {
    const std::uint64_t number = now_ms / 1000 + 1;
    Second& found = seconds_[number % kSeconds];
    if (found.number != number) found = {number, 0, 0};
    return found;
  }

  const RetryBudgetConfig config_;
  std::array<Second, kSeconds> seconds_{};
};

}  // namespace p11shim
