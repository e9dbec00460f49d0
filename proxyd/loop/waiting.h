// Who waits for something that happens later on the loop: intrusive, so that waiting allocates nothing, and a waiter that
// goes away leaves every list by itself. A waiter waits in one list at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace p11shim {

class WaitList;

class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter() { stop_waiting(); }

  // What it waited for may have happened; it looks again and waits again if not.
  virtual void resume() = 0;

  void stop_waiting() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }
  [[nodiscard]] bool waits() const { return next_ != nullptr; }

 private:
  friend class WaitList;
  Waiter* next_ = nullptr;
  Waiter* previous_ = nullptr;
  std::uint64_t turn_ = 0;
};

// First in, first resumed, but for those that are given a turn: the lower one comes first.
class WaitList {
 public:
  WaitList() { head_.next_ = head_.previous_ = &head_; }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() {
    if (destroyed_ != nullptr) *destroyed_ = true;
    while (!empty()) head_.next_->stop_waiting();
  }

  void add(Waiter& waiter, std::uint64_t turn = 0) {
    waiter.stop_waiting();
    Waiter* before = head_.previous_;
    while (before != &head_ && before->turn_ > turn) before = before->previous_;
    waiter.turn_ = turn;
    waiter.previous_ = before;
    waiter.next_ = before->next_;
    before->next_->previous_ = &waiter;
    before->next_ = &waiter;
  }
  // Of the one who is next; there must be one.
  [[nodiscard]] std::uint64_t first_turn() const { return head_.next_->turn_; }
  [[nodiscard]] bool empty() const { return head_.next_ == &head_; }
  // Called from within a resume() of this list, the next one's turn comes when that has returned: a long queue of waiters
  // that each let the next one in takes no stack. The list may be destroyed meanwhile.
  void resume_one() {
    ++owed_;
    if (resuming()) return;
    bool destroyed = false;
    destroyed_ = &destroyed;
    while (owed_ != 0 && !empty()) {
      --owed_;
      Waiter* first = head_.next_;
      first->stop_waiting();
      first->resume();
      if (destroyed) return;
    }
    owed_ = 0;
    destroyed_ = nullptr;
  }
  [[nodiscard]] bool resuming() const { return destroyed_ != nullptr; }
  // Those that wait now; who waits again while being resumed is not resumed twice.
  void resume_all() {
    WaitList now;
    while (!empty()) {
      Waiter* first = head_.next_;
      now.add(*first);
    }
    while (!now.empty()) now.resume_one();
  }

 private:
  struct Head : Waiter {
    void resume() override {}
  };
  Head head_;
  std::size_t owed_ = 0;
  bool* destroyed_ = nullptr;  // of the resume_one() that is under way
};

}  // namespace p11shim
