// Whoever wakes proxyd is about to sleep until it is answered: an application's thread, or a lane. It had better go on until then
// than lose the processor to us in the middle. So this thread asks for SCHED_BATCH: it is as entitled to the processors as before, but
// does not interrupt. Where others want the processors too, that means to wait until their time slices end, for milliseconds;
// so how long this thread waits is looked at, and it goes back to the usual policy for a while when that is long.
#pragma once

#include <cstdint>

#include "wire/processor_waits.h"

namespace p11shim {

// The decision.
class CourtesyRule {
 public:
  static constexpr std::uint64_t kPeriod = 50;            // ms between two looks
  static constexpr std::uint64_t kLongestWait = 150'000;  // ns, in the mean
  static constexpr std::uint64_t kFewest = 10;            // waits that a mean needs
  static constexpr std::uint64_t kFirstPause = 1'000;     // ms without it; doubled each time
  static constexpr std::uint64_t kLongestPause = 60'000;  // ms

  [[nodiscard]] bool is_due(std::uint64_t now_ms) const { return now_ms - looked_ms_ >= kPeriod; }
  // Whether to be courteous from now on.
  bool look(const ProcessorWaits& waits, std::uint64_t now_ms);

 private:
  ProcessorWaits last_;
  std::uint64_t looked_ms_ = 0;
  std::uint64_t changed_ms_ = 0;
  std::uint64_t pause_ = kFirstPause;
  bool courteous_ = true;
};

class Courtesy {  // none, before it begins
 public:
  // Of the thread that calls this. A policy that somebody chose for it stays; nothing happens if the kernel does not tell how
  // long it waits.
  void begin();
  // Once per turn of the loop.
  void look(std::uint64_t now_ms) {
    if (account_.is_open() && rule_.is_due(now_ms)) judge(now_ms);
  }

 private:
  void judge(std::uint64_t now_ms);

  CourtesyRule rule_;
  ProcessorAccount account_;
  bool courteous_ = false;
};

}  // namespace p11shim
