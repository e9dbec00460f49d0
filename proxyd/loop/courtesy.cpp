#include "proxyd/loop/courtesy.h"

#include <sched.h>

#include <algorithm>

namespace p11shim {
namespace {

bool set_policy(int policy) {
  const sched_param none{};
  return ::sched_setscheduler(0, policy, &none) == 0;
}

}  // namespace

bool CourtesyRule::look(const ProcessorWaits& waits, std::uint64_t now_ms) {
  const std::uint64_t times = waits.times - last_.times;
  const std::uint64_t waited = waits.waited_ns - last_.waited_ns;
  const bool is_first = looked_ms_ == 0;
  looked_ms_ = now_ms;
  last_ = waits;
  if (is_first) return courteous_;
  if (!courteous_) {
    if (now_ms - changed_ms_ < pause_) return false;
    pause_ = std::min(2 * pause_, kLongestPause);
    courteous_ = true;
    changed_ms_ = now_ms;
  } else if (times >= kFewest && waited / times > kLongestWait) {
    courteous_ = false;
    changed_ms_ = now_ms;
  } else if (now_ms - changed_ms_ > kLongestPause) {
    pause_ = kFirstPause;
  }
  return courteous_;
}

void Courtesy::begin() {
  if (account_.is_open() || ::sched_getscheduler(0) != SCHED_OTHER) return;
  account_.open();
  const auto waits = account_.read();
  courteous_ = waits && waits->times != 0 && set_policy(SCHED_BATCH);
  if (!courteous_) account_.close();
}

void Courtesy::judge(std::uint64_t now_ms) {
  const auto waits = account_.read();
  if (!waits) return;
  const bool wanted = rule_.look(*waits, now_ms);
  if (wanted == courteous_) return;
  // Somebody may have chosen another policy meanwhile: it stays.
  if (::sched_getscheduler(0) != (courteous_ ? SCHED_BATCH : SCHED_OTHER)) return;
  if (set_policy(wanted ? SCHED_BATCH : SCHED_OTHER)) courteous_ = wanted;
}

}  // namespace p11shim
