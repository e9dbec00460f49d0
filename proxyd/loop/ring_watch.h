// The rings from which the loop expects messages. They are open while the loop is awake, which looks at all of them once per
// turn. While it sleeps, those stay open whose senders have a bell to wake it; what comes from others then, comes over a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/ring.h"

namespace p11shim {

// Waits for a message in a ring, or over a stream.
class RingWaiter {
 public:
  RingWaiter() = default;
  RingWaiter(const RingWaiter&) = delete;
  RingWaiter& operator=(const RingWaiter&) = delete;
  virtual ~RingWaiter() = default;

 protected:
  friend class RingWatch;
  // A message is in the ring, to be taken; nobody waits for another one yet.
  virtual void on_ring() = 0;

  Ring incoming_;          // of nothing at first
  bool has_bell_ = false;  // its sender has one

 private:
  static constexpr std::size_t kNowhere = SIZE_MAX;
  std::size_t place_ = kNowhere;  // in the watch
  unsigned sleeps_ = 0;           // of the loop, since it began to wait
};

class RingWatch {
 public:
  static constexpr std::size_t kMost =
      64;  // rings that are looked at; who comes too late gets everything over its stream

  // Waits from now on; nothing happens if it has no ring.
  void add(RingWaiter& waiter);
  // It does not wait any more. False: a message is in the ring already.
  bool remove(RingWaiter& waiter);

  // Hands out the messages that have come. False: there was none.
  bool take();
  // The loop is about to sleep. False: a message has come, it must not.
  bool sleep();
  // The loop does something again.
  void wake();
  [[nodiscard]] bool is_empty() const { return waiting_.empty(); }
  [[nodiscard]] bool has_message() const;

  std::uint32_t client_core = 0;  // where the application ran that called last, from 1 on; 0: unknown
  std::uint32_t lane_core = 0;    // and the lane that answered last

 private:
  static constexpr unsigned kLongest = 64;  // sleeps; who waits longer is idle

  void drop(RingWaiter& waiter);

  bool awake_ = true;
  std::vector<RingWaiter*> waiting_;
  std::vector<RingWaiter*> ready_;  // null: it went away meanwhile
};

}  // namespace p11shim
