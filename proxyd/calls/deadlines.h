// Ends calls whose time is over. Coarse on purpose: a deadline is a safety net, not a clock. What follows the usual time of a call
// (hedging) has a list of its own, with a shorter tick.
#pragma once

#include <cstdint>

#include "proxyd/loop/handles.h"

namespace p11shim {

class Deadlines;

class Deadline {
 public:
  Deadline() = default;
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  virtual ~Deadline() { disarm(); }
  virtual void expired() = 0;
  void disarm();

 private:
  friend class Deadlines;
  std::uint64_t at_ms_ = 0;
  Deadlines* list_ = nullptr;
  Deadline* next_ = nullptr;
  Deadline* previous_ = nullptr;
};

class Deadlines {
 public:
  explicit Deadlines(uv_loop_t& loop, std::chrono::milliseconds tick_every = std::chrono::milliseconds(50))
      : loop_(loop), tick_every_(tick_every), timer_(loop, [this] { tick(); }) {
    timer_.unref();
  }

  void arm(Deadline& deadline, std::uint64_t at_ms) {
    deadline.disarm();
    deadline.at_ms_ = at_ms;
    deadline.list_ = this;
    deadline.previous_ = nullptr;
    deadline.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &deadline;
    first_ = &deadline;
    if (!timer_.active()) timer_.start(tick_every_, tick_every_);
  }

 private:
  friend class Deadline;

  void tick() {
    if (first_ == nullptr) return timer_.stop();  // idle means idle
    const std::uint64_t now = uv_now(&loop_);
    for (Deadline* at = first_; at != nullptr;) {
      Deadline* due = at->at_ms_ <= now ? at : nullptr;
      at = at->next_;
      if (due == nullptr) continue;
      due->disarm();
      due->expired();
      at = first_;  // the list may have changed entirely
    }
  }

  uv_loop_t& loop_;
  const std::chrono::milliseconds tick_every_;
  Timer timer_;
  Deadline* first_ = nullptr;
};

inline void Deadline::disarm() {
  if (list_ == nullptr) return;
  if (previous_ != nullptr) previous_->next_ = next_;
  else list_->first_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  next_ = previous_ = nullptr;
  list_ = nullptr;
}

}  // namespace p11shim
