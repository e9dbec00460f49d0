// max_concurrency: how many calls of a pool are at work on one member at a time.
#include "proxyd/calls/client_call.h"

namespace p11shim {

// Calls that must run on a member go there however many others do, and wait here for their turn (max_concurrency). Whoever
// waits keeps no real session but that of its operations, and whoever has a turn has a session: so every turn ends.
// False: it waits.
bool ClientCall::takes_turn() {
  if (attempts_.works) return true;
  Membership& on = *attempts_.on;
  if (on.is_busy()) {
    attempts_.queued = true;
    on.turns.add(*this);
    settle_lease();
    return false;
  }
  if (std::exchange(attempts_.queued, false)) {  // the member did not take that long
    attempts_.began_ns = uv_hrtime();
    attempts_.beside = on.working + 1;
  }
  attempts_.works = true;
  ++on.working;
  return true;
}

// The worker may have been lost while this call waited for its turn there: then it is begun again.
void ClientCall::check_place() {
  if (!attempts_.queued || attempts_.on == nullptr || place_ == nullptr) return;
  const Hold* hold = goes_on() ? session_->hold_with(info_->policy.operation) : nullptr;
  const bool is_there = goes_on() ? hold != nullptr && hold->place == place_ : has_all(*place_);
  if (is_there) return;
  attempts_.queued = false;
  attempt_abandoned();
  place_ = nullptr;
}

}  // namespace p11shim
