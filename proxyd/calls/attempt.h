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
  bool works = false;        // it has its turn there: see ClientCall::takes_turn
  bool queued = false;       // it has waited for one
  std::uint64_t began_ns = 0;
  std::uint32_t beside = 1;               // how many calls were under way on that member then, this one included
  std::uint64_t ends_at_ms = UINT64_MAX;  // its member is given no more time for it (max_call)
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
  std::uint32_t asking = 0;  // the attempt whose member is asked whether it is logged in still
  bool asks_of_init = false;
  bool login_is_good = false;     // it is
  Member* only = nullptr;         // no other will do: it has the saved state
  std::size_t finding = 0;        // members that have not answered a search
  std::uint64_t whole_below = 0;  // what the first that was asked shows: see Survey
  std::unordered_set<std::uint64_t> found;
  std::vector<Candidate> candidates;

  void begin() {
    on = nullptr;
    trial = works = queued = resolved_again = looked_again = replaying = false;
    count = 0;
    tried = 0;
    replay_next = 0;
    asking = 0;
    login_is_good = false;
    only = nullptr;
    finding = 0;
    suspects.clear();
    if (!found.empty()) found = {};  // clear() would go through all its buckets, each time
  }
};

}  // namespace p11shim
