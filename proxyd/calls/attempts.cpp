// One attempt of a call on one member of a pool, from its begin to what it says of the member.
#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/calls/client_call.h"

namespace p11shim {

void ClientCall::begin_attempt() {
  Membership& on = pool_->of(*place_);
  attempts_.on = &on;
  attempts_.trial = on.health.breaker.begin();
  attempts_.queued = false;
  attempts_.began_ns = uv_hrtime();
  attempts_.tried |= on.bit();
  // An Init alone is no call of its own to the budget: what uses it is.
  const bool only_begins =
      info_->policy.effect == Effect::starts && request_.init == 0 && info_->policy.operation != Operation::find;
  if (attempts_.count++ == 0 && !only_begins) pool_->budget.call(services_.runtime.now_ms());
  attempts_.beside = ++on.health.outstanding;
  member_statistics_ = on.statistics;
  const std::uint64_t now = services_.runtime.now_ms();
  const auto& longest = on.member.config().options.max_call;
  attempts_.ends_at_ms = longest ? now + static_cast<std::uint64_t>(longest->count()) : UINT64_MAX;
  const bool may_move = recourse_after(Reached::unknown) != Recourse::none;
  const std::uint64_t moves_at =
      may_move ? now + static_cast<std::uint64_t>(pool_->config.balance.attempt_timeout.count()) : UINT64_MAX;
  if (const std::uint64_t at = std::min(moves_at, attempts_.ends_at_ms); at != UINT64_MAX)
    services_.deadlines.arm(attempt_deadline_, at);
  arm_hedge();
}

Membership* ClientCall::end_attempt() {
  attempt_deadline_.disarm();
  if (hedge_ == nullptr) hedge_deadline_.disarm();
  Membership* on = std::exchange(attempts_.on, nullptr);
  if (on != nullptr) on->release(std::exchange(attempts_.works, false), pool_->changed);
  return on;
}

// The member works, whatever it said.
void ClientCall::attempt_succeeded() {
  Membership* on = end_attempt();
  if (on == nullptr) return;
  const std::uint64_t now = services_.runtime.now_ms();
  const double took_ms = static_cast<double>(uv_hrtime() - attempts_.began_ns) / 1e6;
  // What is slow by its nature says nothing about how long other calls take.
  const bool is_slow = info_->policy.slow;
  if (!is_slow) on->health.took(now, took_ms, attempts_.beside);
  on->health.breaker.succeeded(now, is_slow ? 0 : static_cast<std::uint64_t>(took_ms), attempts_.trial);
  if (may_hedge()) on->times.took(kind(), static_cast<std::uint64_t>(took_ms * 1000));
  for (const Attempts::Suspect& suspect : attempts_.suspects)
    if (suspect.member != on)
      suspect.member->health.breaker.failed(now, "it answered " + display(NameKind::ckr, suspect.rv), false);
  attempts_.suspects.clear();
}

void ClientCall::attempt_failed(const std::string& why) {
  if (Membership* on = end_attempt()) on->health.breaker.failed(services_.runtime.now_ms(), why, attempts_.trial);
}

void ClientCall::attempt_abandoned() {
  if (Membership* on = end_attempt()) on->health.breaker.said_nothing(attempts_.trial);
}

}  // namespace p11shim
