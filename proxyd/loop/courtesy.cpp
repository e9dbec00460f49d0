#include "proxyd/loop/courtesy.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

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

Courtesy::~Courtesy() {
  if (waits_ >= 0) ::close(waits_);
}

void Courtesy::begin() {
  if (waits_ >= 0 || ::sched_getscheduler(0) != SCHED_OTHER) return;
  waits_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  ProcessorWaits waits;
  if (waits_ >= 0 && read(waits) && set_policy(SCHED_BATCH)) {
    courteous_ = true;
    return;
  }
  if (waits_ >= 0) ::close(waits_);
  waits_ = -1;
}

void Courtesy::judge(std::uint64_t now_ms) {
  ProcessorWaits waits;
  if (!read(waits)) return;
  const bool wanted = rule_.look(waits, now_ms);
  if (wanted == courteous_) return;
  // Somebody may have chosen another policy meanwhile: it stays.
  if (::sched_getscheduler(0) != (courteous_ ? SCHED_BATCH : SCHED_OTHER)) return;
  if (set_policy(wanted ? SCHED_BATCH : SCHED_OTHER)) courteous_ = wanted;
}

// "time on a processor, time waited, times": nanoseconds.
bool Courtesy::read(ProcessorWaits& waits) const {
  char text[80];
  const ssize_t size = ::pread(waits_, text, sizeof text - 1, 0);
  if (size <= 0) return false;
  text[size] = '\0';
  char* end = nullptr;
  std::strtoull(text, &end, 10);
  waits.waited_ns = std::strtoull(end, &end, 10);
  waits.times = std::strtoull(end, &end, 10);
  return waits.times != 0;
}

}  // namespace p11shim
