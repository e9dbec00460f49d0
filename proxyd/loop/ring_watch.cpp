#include "proxyd/loop/ring_watch.h"

#include <algorithm>

namespace p11shim {

void RingWatch::add(RingWaiter& waiter) {
  if (!waiter.incoming_) return;
  if (waiter.place_ == RingWaiter::kNowhere) {
    if (waiting_.size() >= kMost) return;
    waiter.place_ = waiting_.size();
    waiting_.push_back(&waiter);
  }
  waiter.sleeps_ = 0;
  if (awake_) waiter.incoming_.open();
}

bool RingWatch::remove(RingWaiter& waiter) {
  if (!waiter.incoming_) return true;
  drop(waiter);
  std::replace(ready_.begin(), ready_.end(), &waiter, static_cast<RingWaiter*>(nullptr));
  return waiter.incoming_.close();
}

void RingWatch::drop(RingWaiter& waiter) {
  if (waiter.place_ == RingWaiter::kNowhere) return;
  RingWaiter* last = waiting_.back();
  waiting_[waiter.place_] = last;
  last->place_ = waiter.place_;
  waiting_.pop_back();
  waiter.place_ = RingWaiter::kNowhere;
}

bool RingWatch::take() {
  for (RingWaiter* waiter : waiting_)
    if (waiter->incoming_.look() == Ring::Look::message) ready_.push_back(waiter);
  if (ready_.empty()) return false;
  for (RingWaiter* waiter : ready_) drop(*waiter);
  // Whoever is called may add and remove any.
  for (std::size_t i = 0; i < ready_.size(); ++i)
    if (ready_[i] != nullptr) ready_[i]->on_ring();
  ready_.clear();
  return true;
}

bool RingWatch::sleep() {
  awake_ = false;
  bool is_quiet = true;
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    RingWaiter& waiter = *waiting_[i];
    const bool is_idle = ++waiter.sleeps_ > kLongest;
    if (waiter.has_bell_ && !is_idle && waiter.incoming_.fall_asleep()) continue;
    if (!waiter.incoming_.close()) is_quiet = false;
    else if (is_idle) drop(waiter);
  }
  return is_quiet;
}

void RingWatch::wake() {
  if (awake_) return;
  awake_ = true;
  for (RingWaiter* waiter : waiting_) {
    if (!waiter->incoming_.wake_up()) waiter->incoming_.open();
  }
}

bool RingWatch::has_message() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [](const RingWaiter* waiter) { return waiter->incoming_.look() == Ring::Look::message; });
}

}  // namespace p11shim
