// Decides whether a member is given calls. Closed: it is. Open (the member is *ejected*): it is not, for a time that doubles
// with each ejection that follows another. Half-open: one call at a time goes there as a trial; enough that succeed in a
// row close it, one that fails opens it again.
//
// What counts is decided elsewhere (faults.h): only faults of the member are told here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "proxyd/config/config.h"

namespace p11shim {

class Breaker {
 public:
  enum class State : std::uint8_t { closed, open, half_open };

  Breaker(const BreakerConfig& config, std::mt19937_64& random) : config_(config), random_(random) {}

  // Half-open, if it was open for long enough.
  void end_pause(std::uint64_t now_ms);
  // A call may go there now.
  [[nodiscard]] bool admits(std::uint64_t now_ms);
  // It goes there; in half-open it is the trial until one of the next three is told. Returns whether it is.
  bool begin();
  void succeeded(std::uint64_t now_ms, std::uint64_t took_ms, bool trial);
  void failed(std::uint64_t now_ms, const std::string& why, bool trial);
  // Opens it at once: a probe got no answer.
  void trip(std::uint64_t now_ms, const std::string& why) {
    if (state_ != State::open) open(now_ms, why);
  }
  void said_nothing(bool trial) {  // the caller's own fault, or withdrawn
    if (trial) trial_ = false;
  }
  // The operator says that it is well.
  void reset();
  // A probe failed: it is not half-open before one succeeds.
  void hold_open() { held_ = true; }
  // A probe succeeded: as good as a trial, so that a member that nobody calls returns, too.
  void probed_well(std::uint64_t now_ms);

  // Told of each change of its state.
  void set_changed(std::function<void()> changed) { on_change_ = std::move(changed); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] std::uint64_t changed_ms() const { return changed_ms_; }
  [[nodiscard]] std::uint32_t ejections() const { return ejections_; }  // ever

 private:
  static constexpr std::size_t kBuckets = 10;
  static constexpr std::uint32_t kTrials = 3;
  struct Bucket {
    std::uint64_t number = 0;
    std::uint32_t calls = 0;
    std::uint32_t failures = 0;
  };
  Bucket& bucket(std::uint64_t now_ms);
  void trial_succeeded(std::uint64_t now_ms);
  [[nodiscard]] bool window_is_bad(std::uint64_t now_ms) const;
  void open(std::uint64_t now_ms, const std::string& why);
  void set_state(State state);
  [[nodiscard]] std::uint64_t bucket_ms() const {
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(config_.window.count()) / kBuckets);
  }

  const BreakerConfig config_;
  std::mt19937_64& random_;
  State state_ = State::closed;
  std::array<Bucket, kBuckets> buckets_{};
  std::uint32_t in_a_row_ = 0;
  std::uint32_t good_trials_ = 0;
  std::uint32_t openings_ = 0;  // that followed each other
  std::uint32_t ejections_ = 0;
  bool trial_ = false;
  bool held_ = false;  // a probe says that it is not well yet
  std::uint64_t open_until_ms_ = 0;
  std::uint64_t changed_ms_ = 0;
  std::string reason_;
  std::function<void()> on_change_;
};

}  // namespace p11shim
