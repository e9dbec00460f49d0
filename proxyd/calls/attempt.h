// What a call in a balanced pool remembers of its attempts.
#pragma once

#include <functional>
#include <unordered_set>

#include "proxyd/calls/deadlines.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {

// When an attempt takes too long.
class AttemptDeadline final : public Deadline {
 public:
  explicit AttemptDeadline(std::function<void()> action) : action_(std::move(action)) {}
  void expired() override { action_(); }

 private:
  const std::function<void()> action_;
};

struct Attempts {
  Membership* on = nullptr;  // where one is under way
  bool trial = false;        // of its breaker
  std::uint64_t began_ns = 0;
  std::uint32_t count = 0;
  std::uint64_t tried = 0;  // members, as bits
  struct Suspect {
    Membership* member;
    CK_RV rv;
  };
  std::vector<Suspect> suspects;
  bool resolved_again = false;  // after the module did not know an object
  bool looked_again = false;    // for a handle that nobody knew
  bool replaying = false;       // what is sent is a recorded call
  std::size_t replay_next = 0;
  Member* only = nullptr;         // no other will do: it has the saved state
  std::size_t finding = 0;        // members that have not answered a search
  std::uint64_t whole_below = 0;  // what the first that was asked shows: see Survey
  std::unordered_set<std::uint64_t> found;
  std::vector<Candidate> candidates;

  void begin() {
    on = nullptr;
    trial = resolved_again = looked_again = replaying = false;
    count = 0;
    tried = 0;
    replay_next = 0;
    only = nullptr;
    finding = 0;
    suspects.clear();
    found.clear();
  }
};

}  // namespace p11shim
