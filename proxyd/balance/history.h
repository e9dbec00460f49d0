// The latest changes of a member's state: what its health says, and apart from that what the operator wants of it.
#pragma once

#include <chrono>
#include <deque>
#include <string>

namespace p11shim {

struct Transition {
  std::chrono::system_clock::time_point at;
  bool by_operator = false;
  std::string from, to;
  std::string reason;
};

// What is now, why and since when.
struct Condition {
  std::string state;
  std::string reason;
  std::chrono::system_clock::time_point since;
};

class History {
 public:
  static constexpr std::size_t kKept = 32;

  History(std::string operational, std::string administrative) {
    operational_.state = std::move(operational);
    administrative_.state = std::move(administrative);
  }

  // Returns whether the state is another one. A new reason for the same state replaces the old one.
  bool note(bool by_operator, const std::string& state, const std::string& reason) {
    Condition& now = by_operator ? administrative_ : operational_;
    now.reason = reason;
    if (state == now.state) return false;
    if (transitions_.size() == kKept) transitions_.pop_front();
    now.since = std::chrono::system_clock::now();
    transitions_.push_back({now.since, by_operator, now.state, state, reason});
    now.state = state;
    return true;
  }
  // As it was before proxyd was started.
  void restore_administrative(const std::string& state, const std::string& reason,
                              std::chrono::system_clock::time_point since) {
    administrative_ = {state, reason, since};
  }
  [[nodiscard]] const Condition& operational() const { return operational_; }
  [[nodiscard]] const Condition& administrative() const { return administrative_; }
  [[nodiscard]] const std::deque<Transition>& transitions() const { return transitions_; }  // the oldest first

 private:
  Condition operational_{{}, {}, std::chrono::system_clock::now()};
  Condition administrative_{{}, {}, std::chrono::system_clock::now()};
  std::deque<Transition> transitions_;
};

}  // namespace p11shim
