// Hedging: a call that takes longer on its member than nineteen of twenty such calls did is made on a second one as well, and the
// first answer is the answer. Only for single-part operations that may be repeated, on keys that several members hold; each
// hedge counts as an attempt and is paid from the retry budget.
#include <algorithm>

#include "proxyd/balance/faults.h"
#include "proxyd/calls/client_call.h"
#include "proxyd/calls/loose_attempt.h"

namespace p11shim {
namespace {

// Asks for a session and does not wait: one is opened, and there when it asks again.
struct Impatient final : Waiter {
  void resume() override {}
};

}  // namespace

UsualTimes::Kind ClientCall::kind() const {
  return {request_.call, request_.has_mechanism ? request_.mechanism : CK_UNAVAILABLE_INFORMATION};
}

bool ClientCall::may_hedge() const {
  if (pool_->config.balance.hedge == Hedge::off || session_ == nullptr) return false;
  const Policy& policy = info_->policy;
  const bool whole = request_.init != 0 && policy.effect == Effect::ends && !is_whole_search();
  const bool plain = request_.init == 0 && policy.effect == Effect::none && policy.retry == Retry::always &&
                     (policy.objects == Objects::none || policy.objects == Objects::uses);
  if ((!whole && !plain) || !session_->holds.empty() || attempts_.only != nullptr) return false;
  return may_be_repeated();
}

// When an attempt begins. The first one only: what has failed once is repeated by other rules.
void ClientCall::arm_hedge() {
  if (attempts_.count != 1 || hedge_ != nullptr || !may_hedge()) return;
  const auto usual_us = attempts_.on->times.p95(kind());
  if (!usual_us) return;
  services_.hedges.arm(hedge_deadline_, services_.runtime.now_ms() + *usual_us / 1000 + 1);
}

void ClientCall::hedge() {
  if (active_ && hedge_ != nullptr) return hedge_failed();  // its member is given no more time for it (max_call)
  if (!active_ || attempts_.on == nullptr || !may_hedge()) return;
  if (attempts_.count >= pool_->config.balance.max_attempts) return;
  const std::uint64_t now = services_.runtime.now_ms();
  find_candidates(now);
  std::erase_if(attempts_.candidates, [&](const Candidate& each) {
    return pool_->numbered(each.member)->health.breaker.state() != Breaker::State::closed;
  });
  if (attempts_.candidates.empty()) return;
  Membership& on = *pool_->numbered(pool_->placement.choose(attempts_.candidates));
  Place& place = *pool_->place_of(on, logged_in());
  Impatient impatient;
  const auto lease = place.sessions(session_->read_write).borrow(impatient, application_);
  if (lease.outcome == RealSessions::Outcome::waiting) services_.hedges.arm(hedge_deadline_, now + 1);
  if (lease.outcome != RealSessions::Outcome::lent) return;
  if (!pool_->budget.take(now)) return lease.session->pool->give_back(*lease.session);

  Request request = request_;
  request.area = 0;
  request.wanted = {};
  request.handles.clear();
  request.handles.add(lease.session->handle);
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    std::uint64_t real = CK_INVALID_HANDLE;
    resolve(place, request_.handles[i], real);
    request.handles.add(real);
  }
  ++attempts_.count;
  attempts_.tried |= on.bit();
  ++on.health.outstanding;
  ++on.working;
  services_.registry.hedged(on.statistics);
  // One that was given up goes on by itself, and nobody wants its answer.
  const auto self = std::make_shared<const LooseAttempt*>(nullptr);
  hedge_ = new LooseAttempt(
      {pool_, &on, &place, lease.session, uv_hrtime(), on.health.breaker.begin(), kind(), on.health.outstanding},
      {[this, self, active = still_active()] { return active() && hedge_ == *self; },
       [this](LooseAttempt& hedge, Reply& reply) { hedge_won(hedge, reply); }, [this] { hedge_failed(); }});
  *self = hedge_;
  hedge_->start(request);
  if (const auto& longest = on.member.config().options.max_call; longest && hedge_ != nullptr)
    services_.hedges.arm(hedge_deadline_, now + static_cast<std::uint64_t>(longest->count()));
}

// The second was first. The call goes on as if it had been made there alone.
void ClientCall::hedge_won(LooseAttempt& hedge, Reply& reply) {
  if (attempts_.on != nullptr) let_go_of_attempt();
  stop_waiting();
  hedge_ = nullptr;
  const LooseAttempt::Of& of = hedge.of();
  attempts_.on = of.on;
  attempts_.works = true;
  attempts_.trial = of.trial;
  attempts_.began_ns = of.began_ns;
  attempts_.beside = of.beside;
  place_ = of.place;
  lease_ = of.lease;
  sent_ns_ = hedge.sent_ns();
  member_statistics_ = of.on->statistics;
  services_.registry.hedge_won(of.on->statistics);
  step_ = &ClientCall::forward_balanced;
  on_reply(reply);
}

// If the first has failed meanwhile too the call goes on as it would have then: both were attempts.
void ClientCall::hedge_failed() {
  hedge_deadline_.disarm();
  hedge_ = nullptr;
  if (attempts_.on != nullptr) return;
  may_try_elsewhere(Reached::unknown, true) ? go(&ClientCall::forward_balanced) : finish(CKR_DEVICE_ERROR);
}

// The attempt that is under way ends without this call.
void ClientCall::let_go_of_attempt() {
  attempt_deadline_.disarm();
  hedge_deadline_.disarm();
  Membership* on = std::exchange(attempts_.on, nullptr);
  RealSession* lease = std::exchange(lease_, nullptr);
  scarce_ = nullptr;
  const bool worked = std::exchange(attempts_.works, false);
  if (worker_ != nullptr && lane_ != nullptr) {
    auto* late =
        new LooseAttempt({pool_, on, place_, lease, attempts_.began_ns, attempts_.trial, kind(), attempts_.beside}, {});
    Worker* worker = std::exchange(worker_, nullptr);
    worker->hand_over(*this, *late);
    return;
  }
  // Nothing was sent yet.
  if (Worker* worker = std::exchange(worker_, nullptr)) worker->withdraw(*this, nullptr);
  if (lease != nullptr) lease->pool->give_back(*lease);
  on->health.breaker.said_nothing(attempts_.trial);
  on->release(worked, pool_->changed);
}

}  // namespace p11shim
