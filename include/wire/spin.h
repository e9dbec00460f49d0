// Whether it is worth looking for what is about to come for a moment before going to sleep. Waking a thread on another core
// takes longer than most calls do; looking in vain keeps the one who would answer from running, if it shares our core.
// Whoever waits keeps the score: it looks while that has succeeded lately, and tries again now and then when it has not. So nobody has
// to know which core the other side runs on, and what is wasted is a small part of the time between two tries.
// One thread, one kind of wait.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace p11shim {

template <class Clock>
class SpinBy {
 public:
  // How long to look at most; 0: never.
  explicit SpinBy(std::chrono::microseconds longest = std::chrono::microseconds(0)) : longest_(longest) {}

  // Looks until `came` says true or the time is over. False: nothing came, or it was not worth looking.
  template <class Came>
  bool look(Came came) {
    return wants() && look_now(came);
  }
  // The two steps of look(), for those who have to do something in between. The second follows each true of the first.
  [[nodiscard]] bool wants() { return longest_.count() != 0 && is_worth_it(); }
  template <class Came>
  bool look_now(Came came) {
    auto last = Clock::now();
    const auto until = last + longest_;
    int pauses = 1;
    do {
      const bool has_come = came();
      const auto now = Clock::now();
      if (now - last > kInterrupted) return crowded(has_come);
      if (has_come) return hit();
      last = now;
      relax(pauses);
      pauses = std::min(2 * pauses, kMostPauses);  // the shortest waits are the most frequent ones
    } while (last < until);
    return miss();
  }

 private:
  static constexpr std::uint32_t kFirstPause = 32;  // waits between two tries; doubled for each try in vain
  static constexpr std::uint32_t kLongestPause = 4096;
  static constexpr int kBest = 8;
  static constexpr int kMostPauses = 16;
  static constexpr std::uint32_t kQuiet = 256;  // undisturbed looks until an interruption weighs less again
  static constexpr std::chrono::microseconds kInterrupted{300};  // no look takes so long by itself

  bool is_worth_it() {
    if (score_ > 0) return true;
    if (++waits_ < pause_) return false;
    waits_ = 0;
    return true;
  }
  bool hit() {
    score_ = std::min(score_ + 1, kBest);
    pause_ = kFirstPause;
    if (++undisturbed_ >= kQuiet) {
      undisturbed_ = 0;
      crowded_pause_ = std::max(crowded_pause_ / 4, kFirstPause);
    }
    return true;
  }
  bool miss() {
    if (score_ > 0) score_ -= 2;
    else pause_ = std::min(pause_ * 2, kLongestPause);
    return false;
  }
  // Somebody else had the processor meanwhile. Once is nothing: a kernel's thread, another virtual machine. Where it goes on, all
  // processors are taken, and the scheduler prefers whoever sleeps.
  bool crowded(bool has_come) {
    score_ = 0;
    undisturbed_ = 0;
    pause_ = crowded_pause_;
    crowded_pause_ = std::min(crowded_pause_ * 4, kLongestPause);
    return has_come;
  }
  static void relax(int pauses) {
    for (int i = 0; i < pauses; ++i) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
    }
  }

  std::chrono::microseconds longest_;
  int score_ = 0;
  std::uint32_t waits_ = 0;
  std::uint32_t pause_ = kFirstPause;
  std::uint32_t crowded_pause_ = kFirstPause;  // after the next interruption
  std::uint32_t undisturbed_ = 0;
};

using Spin = SpinBy<std::chrono::steady_clock>;

// Looking is of no use where only one thread can run at a time: one processor, or a control group that may not use two.
bool has_two_processors();
// What control groups say of it. `root`: the folder that has this machine's proc and sys.
bool groups_leave_two_processors(const std::string& root);

}  // namespace p11shim
