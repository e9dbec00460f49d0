#include "proxyd/balance/breaker.h"

#include <algorithm>
#include <utility>

namespace p11shim {

void Breaker::end_pause(std::uint64_t now_ms) {
  if (state_ != State::open || now_ms < open_until_ms_ || held_) return;
  changed_ms_ = now_ms;
  good_trials_ = 0;
  trial_ = false;
  set_state(State::half_open);
}

bool Breaker::admits(std::uint64_t now_ms) {
  end_pause(now_ms);
  return state_ == State::closed || (state_ == State::half_open && !trial_);
}

bool Breaker::begin() {
  if (state_ != State::half_open) return false;
  trial_ = true;
  return true;
}

void Breaker::succeeded(std::uint64_t now_ms, std::uint64_t took_ms, bool trial) {
  const auto slow = static_cast<std::uint64_t>(config_.slow_call.count());
  if (slow != 0 && took_ms > slow) return failed(now_ms, "a call took " + std::to_string(took_ms) + " ms", trial);
  in_a_row_ = 0;
  ++bucket(now_ms).calls;
  if (!trial || state_ != State::half_open) return;
  trial_ = false;
  trial_succeeded(now_ms);
}

void Breaker::trial_succeeded(std::uint64_t now_ms) {
  if (++good_trials_ < kTrials) return;
  reset();
  changed_ms_ = now_ms;
}

void Breaker::probed_well(std::uint64_t now_ms) {
  held_ = false;
  if (state_ == State::half_open && !trial_) trial_succeeded(now_ms);
}

void Breaker::failed(std::uint64_t now_ms, const std::string& why, bool trial) {
  Bucket& now = bucket(now_ms);
  ++now.calls;
  ++now.failures;
  ++in_a_row_;
  if (trial) trial_ = false;
  if (state_ == State::half_open && trial) return open(now_ms, why);
  if (state_ != State::closed) return;  // a call that was under way when it opened
  if (in_a_row_ >= config_.failures)
    return open(now_ms, std::to_string(in_a_row_) + " failures in a row, the last: " + why);
  if (window_is_bad(now_ms)) open(now_ms, "too many failures, the last: " + why);
}

void Breaker::reset() {
  buckets_ = {};
  in_a_row_ = good_trials_ = openings_ = 0;
  trial_ = held_ = false;
  reason_.clear();
  set_state(State::closed);
}

Breaker::Bucket& Breaker::bucket(std::uint64_t now_ms) {
  const std::uint64_t number = now_ms / bucket_ms() + 1;
  Bucket& found = buckets_[number % kBuckets];
  if (found.number != number) found = {number, 0, 0};
  return found;
}

bool Breaker::window_is_bad(std::uint64_t now_ms) const {
  const std::uint64_t newest = now_ms / bucket_ms() + 1;
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  for (const Bucket& each : buckets_) {
    if (each.number + kBuckets <= newest) continue;
    calls += each.calls;
    failures += each.failures;
  }
  return calls >= config_.least_calls && failures * 100 >= calls * config_.percent;
}

void Breaker::open(std::uint64_t now_ms, const std::string& why) {
  const auto shortest = static_cast<std::uint64_t>(config_.open_min.count());
  const auto longest = static_cast<std::uint64_t>(config_.open_max.count());
  const std::uint64_t doubled = std::min(shortest << std::min<std::uint32_t>(openings_, 30), longest);
  std::uniform_int_distribution<std::uint64_t> jitter(doubled - doubled / 4, doubled);
  open_until_ms_ = now_ms + jitter(random_);
  changed_ms_ = now_ms;
  reason_ = why;
  ++openings_;
  ++ejections_;
  in_a_row_ = good_trials_ = 0;
  trial_ = false;
  buckets_ = {};
  set_state(State::open);
}

void Breaker::set_state(State state) {
  if (std::exchange(state_, state) != state && on_change_) on_change_();
}

}  // namespace p11shim
