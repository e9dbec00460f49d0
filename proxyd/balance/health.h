// What a pool knows of one member's health and load: its breaker, how many of its calls are under way, how long they take.
#pragma once

#include <algorithm>
#include <cmath>

#include "proxyd/balance/breaker.h"

namespace p11shim {

// What the operator wants of a member, whatever its health.
enum class Wanted : std::uint8_t {
  ready,
  drain,    // nothing new; what has begun goes on
  maint,    // nothing at all
  removed,  // as drain, until nothing needs it; then it leaves its pool
};

class Health {
 public:
  Health(const BreakerConfig& config, std::mt19937_64& random) : breaker(config, random) {}

  // A call's time there, for the estimate: it follows an increase at once and a decrease slowly (peak EWMA). `beside`: how many were
  // under way there when it began, itself included. Each is taken to have had its share of the time: where calls wait for each
  // other, a busy member would look slower than an idle one that is, and get none while the slow one gets many.
  void took(std::uint64_t now_ms, double ms, std::uint32_t beside = 1) {
    ms /= std::max(beside, 1U);
    const double now = estimate(now_ms);
    estimate_ms_ = ms > now ? ms : now + (ms - now) * kShare;
    estimated_at_ms_ = now_ms;
  }
  // Milliseconds that one more call would take, about. A member that was not asked for long is taken for a fast one.
  [[nodiscard]] double cost(std::uint64_t now_ms) const { return (estimate(now_ms) + kLeast) * (outstanding + 1); }

  Breaker breaker;
  Wanted wanted = Wanted::ready;
  std::uint32_t outstanding = 0;

 private:
  static constexpr double kShare = 0.05;
  static constexpr double kForgetMs = 10'000;
  static constexpr double kLeast = 0.01;
  [[nodiscard]] double estimate(std::uint64_t now_ms) const {
    return estimate_ms_ * std::exp(-static_cast<double>(now_ms - estimated_at_ms_) / kForgetMs);
  }
  double estimate_ms_ = 0;
  std::uint64_t estimated_at_ms_ = 0;
};

}  // namespace p11shim
