// Calls in a pool of several members: where each attempt runs, and what follows when it fails. An attempt begins when a
// member is chosen and ends with its answer, its failure or its time; docs/pools.md says what is done then.
#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/calls/client_call.h"
#include "proxyd/calls/sealed_creation.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kLookAgainMs = 100;
}

void ClientCall::forward_balanced() {
  step_ = &ClientCall::forward_balanced;
  if (!enter_session()) return;
  if (uses_area_ && !copy_from_area()) return finish(CKR_DEVICE_ERROR);
  if (pool_->absent()) return finish(CKR_DEVICE_REMOVED);
  check_place();
  const Policy& policy = info_->policy;
  const bool continues_or_ends = policy.effect == Effect::continues || policy.effect == Effect::ends;
  const bool lost = continues_or_ends && session_->take_lost(policy.operation);
  if (lost && goes_on() && policy.operation != Operation::any) return finish(CKR_DEVICE_ERROR);
  if (attempts_.on != nullptr && place_ != nullptr) return run_on(*place_);
  if (hedge_ != nullptr) return;  // it goes on when that one has answered
  if (writes_to_copies()) return go(&ClientCall::write_copies);
  if (policy.objects == Objects::creates && pool_->config.balance.replicate_nonextractable &&
      makes_sealed_key(request_))
    return go(&ClientCall::create_sealed);
  if (goes_on()) {
    if (Hold* hold = session_->hold_with(policy.operation)) return run_on(*hold->place);
    if (session_->replay_of(policy.operation) != nullptr) return go(&ClientCall::replay);
  }
  if (is_search() && waits_for_members()) return;
  if (Place* place = choose_member()) run_on(*place);
}

// A search waits a little for members that are on their way, so that it finds what they have.
bool ClientCall::waits_for_members() {
  const auto longest = static_cast<std::uint64_t>(pool_->config.balance.attempt_timeout.count()) * 1'000'000;
  if (!pool_->settling(logged_in()) || uv_hrtime() - started_ns_ > longest) return false;
  pool_->changed.add(*this);
  return true;
}

bool ClientCall::logged_in() const { return application_->token(*pool_).login == LoginState::user; }

void ClientCall::run_on(Place& place) {
  place_ = &place;
  if (attempts_.on == nullptr) begin_attempt();
  Membership& on = *attempts_.on;
  if (!translate(place) || !borrow(place)) return on.pass_turn();  // it does not need its own yet
  if (!takes_turn() || !begin_creation()) return;
  if (is_search()) attempts_.whole_below = attempts_.on->survey_of(place).whole_below();
  send(place);
}

// The token objects that this attempt needs: of the request, or of the operation that is to be begun again.
template <class Fn>
void ClientCall::for_each_needed(Fn fn) const {
  const auto visit = [&](std::uint64_t handle) {
    if (handle == CK_INVALID_HANDLE || (handle & kSessionObjectBit) != 0) return;
    const TokenObject* object = pool_->objects.find(handle);
    const bool hidden = object != nullptr && object->is_private &&
                        !(sees_private() && application_->token(*pool_).private_handles.contains(handle));
    if (!hidden) fn(handle, object);
  };
  for (std::size_t i = 1; i < request_.handles.size(); ++i) visit(request_.handles[i]);
  if (!goes_on()) return;
  if (const ReplayRecord* record = session_->replay_of(info_->policy.operation))
    for (const RecordedCall& call : record->calls)
      for (const std::uint64_t handle : call.objects) visit(handle);
}

bool ClientCall::has_all(Place& place) const {
  bool all = true;
  for_each_needed([&](std::uint64_t handle, const TokenObject* object) {
    if (object == nullptr && attempts_.looked_again) return;  // nobody knows it: the module will say so
    all &= place.objects.real_of(handle) != 0;
  });
  return all;
}

// Null: the call waits, or is finished.
Place* ClientCall::choose_member() {
  const Member* counter = counts_nonces_on();
  if (counter != nullptr) attempts_.only = const_cast<Member*>(counter);
  if (Place* bound = bound_place()) {
    if (counter == nullptr || bound->member == counter) return bound;
    return finish(CKR_KEY_HANDLE_INVALID), nullptr;  // what is to be wrapped is elsewhere
  }
  const std::uint64_t now = services_.runtime.now_ms();
  for (const bool again : {false, true}) {
    if (again && std::exchange(attempts_.tried, 0) == 0) break;
    find_candidates(now);
    if (attempts_.candidates.empty()) continue;
    Membership& chosen = *pool_->numbered(pool_->placement.choose(attempts_.candidates));
    return pool_->place_of(chosen, logged_in());
  }
  return wait_for_member(now), nullptr;
}

// Members that can take it now and were not tried.
void ClientCall::find_candidates(std::uint64_t now) {
  attempts_.candidates.clear();
  for (const auto& each : pool_->members) {
    Place* place = pool_->place_of(*each, logged_in());
    if (place == nullptr || each->health.wanted != Wanted::ready ||
        (attempts_.only != nullptr && attempts_.only != &each->member))
      continue;
    if ((attempts_.tried & each->bit()) != 0 || each->is_full() || !has_all(*place) ||
        !each->health.breaker.admits(now))
      continue;
    attempts_.candidates.push_back(
        {each->number, each->health.cost(now), each->health.outstanding, each->weight, each->member.config().priority});
  }
}

// Where this call must run, whatever the health of that member: where its session objects are, or its other operations.
Place* ClientCall::bound_place() {
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    const auto found = application_->session_objects.find(request_.handles[i]);
    if (found == application_->session_objects.end() || found->second->place == nullptr || found->second->pool != pool_)
      continue;
    for (const auto& each : pool_->members)
      for (Place* place : {&each->member.public_place(), &each->member.user().place()})
        if (&place->objects == found->second->place) return place;
  }
  if (info_->policy.objects == Objects::creates || attempts_.only != nullptr) return nullptr;
  for (const Hold& hold : session_->holds)
    if ((attempts_.tried & pool_->of(*hold.place).bit()) == 0 && has_all(*hold.place)) return hold.place;
  return nullptr;
}

// No member can take it now. If one may later the call waits, until its deadline.
void ClientCall::wait_for_member(std::uint64_t now) {
  bool known = true;
  bool somewhere = true;
  for_each_needed([&](std::uint64_t handle, const TokenObject* object) {
    known &= object != nullptr;
    bool may_be = false;
    for (const auto& each : pool_->members) {
      Place* place = pool_->place_of(*each, logged_in());
      // A member that shows nothing yet may have what it had.
      may_be |= place != nullptr ? place->objects.real_of(handle) != 0 || each->survey_of(*place).running()
                                 : object != nullptr && (object->members & each->bit()) != 0;
    }
    somewhere &= may_be;
  });
  if ((!known || !somewhere) && !pool_->settling(logged_in())) {
    if (!std::exchange(attempts_.looked_again, true)) {
      for (const auto& each : pool_->members)
        if (Place* place = pool_->place_of(*each, logged_in())) each->survey_of(*place).look_again(now);
    } else if (!somewhere && known) {
      if (request_.init != 0) reply_.init_rv = missing_object();
      return finish(missing_object());
    }
  }
  pool_->changed.add(*this);
}

// Every member was asked, and none has it any more.
CK_RV ClientCall::missing_object() const {
  const bool is_key =
      info_->policy.effect == Effect::starts || request_.init != 0 || info_->policy.objects == Objects::creates;
  return is_key ? CKR_KEY_HANDLE_INVALID : CKR_OBJECT_HANDLE_INVALID;
}

// A member answered. True: this attempt is over and the call goes on elsewhere.
bool ClientCall::answered_badly(const Reply& reply) {
  const CK_RV rv = reply.init_rv != CKR_OK ? reply.init_rv : reply.rv;
  const bool continues_or_ends = info_->policy.effect == Effect::continues || info_->policy.effect == Effect::ends;
  const bool is_public = place_ == &place_->member->public_place();
  const bool login_is_good = is_public || (continues_or_ends && reply.init_rv == CKR_OK) || attempts_.login_is_good;
  const Blame blame = blame_of(rv, login_is_good);
  if (blame_of(rv, true) != blame && attempts_.asking != attempts_.count) return ask_login(reply), true;
  if (blame == Blame::nobody && misses_object(rv) && !attempts_.resolved_again) return resolve_again();
  if (blame == Blame::nobody) {
    attempt_succeeded();
    return false;
  }
  Membership* on = attempts_.on;
  if (blame == Blame::member) {
    attempt_failed("it answered " + display(NameKind::ckr, rv));
  } else {
    attempts_.suspects.push_back({on, rv});
    attempt_abandoned();
  }
  if (ends_find()) return finish(CKR_OK), true;
  Place& place = *place_;
  const bool goes_elsewhere = may_try_elsewhere(Reached::answer);
  // An operation whose call has failed is over. A member in trouble may still believe it to be active: its real session is given
  // up, so that the application's goes on.
  const bool ends = continues_or_ends || request_.init != 0;
  if (goes_elsewhere || ends || needs_new_worker(rv)) leave_place();
  if (needs_new_worker(rv)) pool_->renew_worker(place, rv);
  if (goes_elsewhere) return go(&ClientCall::forward_balanced), true;
  if (!ends && !needs_new_worker(rv)) return false;
  if (reply.init_rv != CKR_OK) reply_.init_rv = reply.init_rv;
  return finish(rv), true;
}

// The module does not know an object that it showed: what we know of it is forgotten and looked up once more.
bool ClientCall::resolve_again() {
  attempts_.resolved_again = true;
  bool any = false;
  for_each_needed([&](std::uint64_t handle, const TokenObject*) {
    any |= place_->objects.real_of(handle) != 0;
    place_->objects.unbind_handle(handle);
  });
  if (!any) {
    attempt_succeeded();
    return false;
  }
  attempts_.on->survey_of(*place_).doubt(services_.runtime.now_ms());
  attempt_abandoned();
  attempts_.looked_again = false;
  leave_place();
  go(&ClientCall::forward_balanced);
  return true;
}

// Whether this call, which did not succeed on place_, may be tried on another member.
// `restarts`: its worker does, so that the same member will do as well.
bool ClientCall::may_try_elsewhere(Reached reached, bool restarts) {
  if (hedge_ != nullptr) return true;  // it is being tried there
  const Recourse what = session_ == nullptr ? Recourse::none : recourse_after(reached);
  if (what == Recourse::none || attempts_.count >= pool_->config.balance.max_attempts) return false;
  if (reached == Reached::nothing ? names_session_objects() : !may_be_repeated()) return false;
  if (what == Recourse::replay) {
    const ReplayRecord* record = session_->replay_of(info_->policy.operation);
    if (record == nullptr || !record->replayable) return false;
  }
  const bool others = std::any_of(pool_->members.begin(), pool_->members.end(), [&](const auto& each) {
    if (each->health.wanted != Wanted::ready || (place_ != nullptr && &each->member == place_->member && !restarts))
      return false;
    if (Place* place = pool_->place_of(*each, logged_in())) return has_all(*place);
    // It is on its way, and has what it had.
    bool may_have = each->quarantine.empty();
    for_each_needed([&](std::uint64_t, const TokenObject* object) {
      may_have &= object != nullptr && (object->members & each->bit()) != 0;
    });
    return may_have;
  });
  // What has reached no member is no retry of anything.
  return reached == Reached::nothing || (others && pool_->budget.take(services_.runtime.now_ms()));
}

Recourse ClientCall::recourse_after(Reached reached) const {
  return recourse(*info_, reached, {request_.init != 0, makes_session_key()});
}

// What this session has on the member is given up: it is begun again elsewhere when it is needed.
void ClientCall::leave_place() {
  if (RealSession* lease = std::exchange(lease_, nullptr)) {
    lease->tainted = true;
    lease->pool->give_back(*lease);
  }
  for (std::size_t i = session_->holds.size(); i-- > 0;) {
    if (session_->holds[i].place != place_) continue;
    Hold hold = session_->holds[i];
    session_->holds.erase(session_->holds.begin() + static_cast<std::ptrdiff_t>(i));
    session_->displace(hold.active);
    hold.in_doubt = Operation::any;
    services_.applications.release_hold(*session_, hold);
  }
  attempts_.replaying = false;
  end_scarcity();
  place_ = nullptr;
}

// The member opens no session. True: the call goes on elsewhere.
bool ClientCall::no_session(CK_RV rv) {
  blame_of(rv) != Blame::nobody ? attempt_failed("C_OpenSession: " + display(NameKind::ckr, rv)) : attempt_abandoned();
  if (!may_try_elsewhere(Reached::nothing)) return false;
  leave_place();
  go(&ClientCall::forward_balanced);
  return true;
}

// The result of a search is here: nobody needs the member to end it.
bool ClientCall::ends_find() {
  if (info_->policy.operation != Operation::find || info_->policy.effect != Effect::ends) return false;
  leave_place();
  session_->end_find();
  return true;
}

// The worker died or was stopped. True: the call goes on elsewhere.
bool ClientCall::worker_failed(JobFailure failure) {
  const Reached reached = failure == JobFailure::not_started ? Reached::nothing : Reached::unknown;
  reached == Reached::nothing ? attempt_abandoned() : attempt_failed("its worker died");
  lease_ = nullptr;  // gone with the worker, as what the session held there
  if (session_ == nullptr) return false;
  if (info_->policy.operation == Operation::find && info_->policy.effect == Effect::ends) {
    session_->end_find();
    std::erase_if(session_->holds, [&](const Hold& hold) { return hold.place == place_; });
    return finish(CKR_OK), true;
  }
  if (step_ == &ClientCall::log_in_to_operation)
    std::erase_if(session_->holds, [&](const Hold& hold) { return hold.place == place_; });
  if (!may_try_elsewhere(reached, true)) return false;
  for (const Hold& hold : session_->holds)
    if (hold.place == place_) session_->displace(hold.active);
  std::erase_if(session_->holds, [&](const Hold& hold) { return hold.place == place_; });
  attempts_.replaying = false;
  place_ = nullptr;
  go(&ClientCall::forward_balanced);
  return true;
}

// The member has not answered for attempt_timeout. If no other can help it may take as long as the call has, or as it is given.
void ClientCall::attempt_expired() {
  if (attempts_.on == nullptr || session_ == nullptr || attempts_.finding != 0)
    return attempts_.finding != 0 ? finish_finding() : void();
  if (attempts_.asking == attempts_.count) return login_told(false);
  const bool runs = worker_ != nullptr && lane_ != nullptr;
  // It waits for its turn on a member that has other operations of this session, which would be lost.
  const bool is_bound = !runs && attempts_.queued && place_ != nullptr && session_->hold_in(*place_) != nullptr;
  if (is_bound ||
      !may_try_elsewhere(runs ? Reached::unknown : Reached::nothing)) {  // another may be able to in a moment
    const std::uint64_t now = services_.runtime.now_ms();
    if (now >= attempts_.ends_at_ms) return end_scarcity(), expired();
    return services_.deadlines.arm(attempt_deadline_, std::min(now + kLookAgainMs, attempts_.ends_at_ms));
  }
  stop_waiting();
  end_scarcity();
  if (runs)
    attempt_failed("it has not answered in " + std::to_string(pool_->config.balance.attempt_timeout.count()) + " ms");
  else attempt_abandoned();
  if (worker_ != nullptr) {
    for (const Hold& hold : session_->holds)
      if (hold.place == place_) session_->displace(hold.active);
    withdraw_from_worker();
  }
  if (place_ != nullptr) leave_place();
  go(&ClientCall::forward_balanced);
}

}  // namespace p11shim
