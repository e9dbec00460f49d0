// The way of a call to a worker and back.
#include <algorithm>

#include "calls/cancel.h"
#include "proxyd/calls/bodies.h"
#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr auto kSetOperationState = number_of<&List::C_SetOperationState>();
constexpr auto kSessionCancel = number_of<&List::C_SessionCancel>();
constexpr std::uint64_t kLongestScarcity = 1000;  // ms

// These mean the application as it is now, whatever goes on in its session.
bool concerns_login(std::uint32_t call) {
  return call == number_of<&List::C_Logout>() || call == number_of<&List::C_SetPIN>() ||
         call == number_of<&List::C_InitPIN>();
}

Operation cancelled(std::span<const std::uint8_t> body) { return cancelled_operations(In(body).uint()); }

}  // namespace

// This call's turn in its session; false: it waits, or the session does not exist and the call is finished.
bool ClientCall::enter_session() {
  if (session_ != nullptr) return true;
  VirtualSession* session = application_->session(request_.handles[0]);
  // A reload may have taken the token from its users.
  if (session != nullptr && !may(session->pool.config.access.allow)) return finish(CKR_SESSION_HANDLE_INVALID), false;
  if (session == nullptr) {
    if (info_->policy.where == Where::worker) forward_sessionless();
    else finish(CKR_SESSION_HANDLE_INVALID);
    return false;
  }
  if (session->busy) {
    if (session->turn == nullptr) session->turn = std::make_unique<WaitList>();
    session->turn->add(*this);
    return false;
  }
  session->busy = true;
  session_ = session;
  pool_ = &session->pool;
  logins_ended_ = application_->token(*pool_).logins_ended;
  return true;
}

// A session handle that is not valid for this application: the module is given one that is valid for nobody (§5.6.1), so
// that it answers in its own order of checks.
void ClientCall::forward_sessionless() {
  step_ = &ClientCall::forward_sessionless;
  pool_ = nullptr;
  for (const auto& pool : services_.catalog.pools())
    if (pool_ == nullptr && may(pool->config.access.allow)) pool_ = pool.get();
  if (pool_ == nullptr || pool_->balanced()) return finish(CKR_SESSION_HANDLE_INVALID);
  place_ = &pool_->member.public_place();
  if (place_->worker.state() == Worker::State::backoff) return finish(CKR_SESSION_HANDLE_INVALID);
  if (!place_->worker.require(*this)) return;
  forwarded_.handles.clear();
  for (std::size_t i = 0; i < request_.handles.size(); ++i) forwarded_.handles.add(CK_INVALID_HANDLE);
  submit(*place_);
}

void ClientCall::forward_session() {
  step_ = &ClientCall::forward_session;
  if (!enter_session()) return;
  if (pool_->balanced()) return go(&ClientCall::forward_balanced);
  const bool continues_or_ends = info_->policy.effect == Effect::continues || info_->policy.effect == Effect::ends;
  const bool lost = continues_or_ends && session_->take_lost(info_->policy.operation);
  if (lost && goes_on() && request_.call != kSessionCancel) return finish(CKR_DEVICE_ERROR);
  place_ = choose_place();
  if (!worker_ready(place_->worker) || !translate(*place_) || !borrow(*place_)) return;
  send(*place_);
}

// An operation that is under way decides; then a session object that the call names; then the application's login.
Place* ClientCall::choose_place() {
  const Policy& policy = info_->policy;
  only_asks_ = false;
  if (goes_on())
    if (Hold* hold = session_->hold_with(policy.operation)) return hold->place;
  Place* named = place_of_session_objects();
  Place* wanted = named != nullptr ? named : &application_->place(*pool_);
  Place* begun = session_->begun();
  if (begun == nullptr || policy.objects == Objects::creates || concerns_login(request_.call)) return wanted;
  // Operations begun before a login or logout go on where they are, and the module's rules about operations at the same
  // time hold there; but an object can be used nowhere but in a domain that sees it.
  if (named == nullptr && !names_private_object()) return begun;
  const bool starts = policy.effect == Effect::starts || request_.init != 0;
  only_asks_ = begun != wanted && !asked_ && starts && request_.has_mechanism;
  return only_asks_ ? begun : wanted;
}

// Private objects decide, then the first one; others are copied there.
Place* ClientCall::place_of_session_objects() {
  if (moved_to_ != nullptr) return moved_to_;
  Place* first = nullptr;
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    const auto found = application_->session_objects.find(request_.handles[i]);
    if (found == application_->session_objects.end() || found->second->place == nullptr || found->second->pool != pool_)
      continue;
    for (Place* place : pool_->member.places()) {
      if (&place->objects != found->second->place) continue;
      if (found->second->is_private) return place;
      if (first == nullptr) first = place;
    }
  }
  return first != nullptr && sees_private() && names_private_object() ? &application_->place(*pool_) : first;
}

bool ClientCall::names_private_object() {
  for (std::size_t i = 1; i < request_.handles.size(); ++i)
    if (const TokenObject* object = pool_->objects.find(request_.handles[i]); object != nullptr && object->is_private)
      return true;
  return false;
}

bool ClientCall::worker_ready(Worker& worker) {
  if (worker.state() == Worker::State::backoff) return finish(worker.failure().rv), false;
  return worker.require(*this);
}

// A real session: the one that holds this session's operations there, or one for the length of this call.
bool ClientCall::borrow(Place& place) {
  if (lease_ != nullptr || session_->hold_in(place) != nullptr) return true;
  RealSessions& sessions = place.sessions(session_->read_write);
  const auto lease = sessions.borrow(*this, application_);
  if (lease.outcome == RealSessions::Outcome::failed && !(pool_->balanced() && no_session(lease.rv))) finish(lease.rv);
  if (lease.outcome == RealSessions::Outcome::waiting && waits()) watch_scarcity(sessions);
  if (lease.outcome != RealSessions::Outcome::lent) return false;
  lease_ = lease.session;
  end_scarcity();
  return true;
}

void ClientCall::end_scarcity() {
  if (std::exchange(scarce_, nullptr) != nullptr) services_.deadlines.arm(*this, deadline_at_ms_);
}

// Sessions that unfinished operations occupy may never come back: whoever waits for one looks again after a while.
void ClientCall::watch_scarcity(RealSessions& sessions) {
  scarce_ = &sessions;
  services_.deadlines.arm(*this, std::min(deadline_at_ms_, services_.runtime.now_ms() + kLongestScarcity));
}

// False: it is answered, or goes on waiting.
bool ClientCall::scarcity_ends() {
  if (scarce_->hopeless()) return finish(CKR_SESSION_COUNT), false;
  if (!active_ || scarce_ == nullptr || !waits()) return false;  // what was taken back came at once
  if (services_.runtime.now_ms() >= deadline_at_ms_) return true;
  stop_waiting();
  end_scarcity();
  go(step_);
  return false;
}

void ClientCall::send(Place& place) {
  const Hold* hold = session_->hold_in(place);
  forwarded_.handles[0] = hold != nullptr ? hold->session->handle : lease_->handle;
  submit(place);
}

// False: the data cannot be had.
bool ClientCall::lead_to_area(Worker& worker) {
  forwarded_.area = 0;
  if (!uses_area_) return true;
  if (!worker.share(area_)) return copy_from_area();
  forwarded_.area = area_->id;
  return true;
}

// For a lane that does not share the area, and for calls that may have to be done again elsewhere: another lane may then still
// be writing there.
bool ClientCall::copy_from_area() {
  Area area;
  uses_area_ = false;
  in_line_.clear();
  in_line_.mark_secret();
  if (!area.map(area_->descriptor, false) || !put_in_line(request_.body, area.bytes(), limits::kMaxFrame, in_line_))
    return false;
  request_.body = in_line_.bytes();
  return true;
}

// forwarded_.handles are those of the module.
void ClientCall::submit(Place& place) {
  if (!lead_to_area(place.worker)) return finish(CKR_DEVICE_ERROR);
  forwarded_.id = request_.id;
  forwarded_.call = request_.call;
  forwarded_.deadline_ms = request_.deadline_ms;
  forwarded_.trace = request_.trace;
  forwarded_.has_mechanism = request_.has_mechanism;
  forwarded_.mechanism = request_.mechanism;
  forwarded_.init = request_.init;
  forwarded_.init_body = request_.init_body;
  forwarded_.ends = request_.ends;
  forwarded_.wanted = request_.wanted;
  forwarded_.body = state_refused_ ? scratch_.bytes() : request_.body;
  head_.clear();
  if (secret_) head_.mark_secret();  // a small body is sent from it
  write_request_head(head_, forwarded_);
  body_ = forwarded_.body;
  place.worker.submit(*this);
}

void ClientCall::forward_slot() {
  step_ = &ClientCall::forward_slot;
  pool_ = visible_pool(request_.handles[0]);
  if (pool_ == nullptr) return finish(CKR_SLOT_ID_INVALID);
  if (pool_->balanced()) return go(&ClientCall::answer_for_pool);
  place_ = &pool_->member.public_place();
  if (!worker_ready(place_->worker)) return;
  forwarded_.handles.clear();
  forwarded_.handles.add(pool_->member.slot_in(place_->worker));
  submit(*place_);
}

void ClientCall::on_failure(JobFailure failure) {
  worker_ = nullptr;
  if (failure == JobFailure::malformed) {
    malformed_ = true;
    if (request_.init != 0) doubt_operations();  // the Init may have been executed
    return finish(CKR_DEVICE_ERROR);
  }
  if (attempts_.on != nullptr) return worker_failed(failure) ? void() : finish(CKR_DEVICE_ERROR);
  lease_ = nullptr;  // gone with its worker
  if (failure == JobFailure::worker_lost && changes_pin()) pool_->member.pin_changed(*place_);
  // Nothing was executed: as if the call had come while the worker was being restarted.
  if (failure == JobFailure::not_started && !goes_on()) return go(step_);
  if (session_ != nullptr) session_->take_lost(info_->policy.operation);  // this answer says so
  finish(CKR_DEVICE_ERROR);
}

void ClientCall::on_reply(Reply& reply) {
  worker_ = nullptr;
  lane_ns_ = sent_ns_;
  hsm_us_ = reply.hsm_us;
  if (info_->policy.slot) return slot_reply(reply);
  if (attempts_.on != nullptr && !attempts_.replaying && answered_badly(reply)) return;
  const CK_RV begin_rv = request_.init != 0 ? reply.init_rv : reply.rv;
  if (only_asks_ && begin_rv != CKR_OK && begin_rv != CKR_OPERATION_ACTIVE) {
    asked_ = true;
    return go(step_);
  }
  // Whoever ran out of memory, the worker perhaps, when the module had done its part.
  if (session_ != nullptr && (reply.init_rv == CKR_HOST_MEMORY || reply.rv == CKR_HOST_MEMORY)) doubt_operations();
  if (reply.init_rv != CKR_OK) {
    reply_.init_rv = reply.init_rv;
    return finish(reply.init_rv);
  }
  // What a module gives out without a session belongs to nobody.
  if (session_ == nullptr && !reply.handles.empty()) return finish(CKR_SESSION_HANDLE_INVALID);
  if (session_ == nullptr) return finish(reply.rv, reply.body);
  if (attempts_.replaying) return replayed(reply);
  if (moves_to_login(reply.rv)) return;
  search_is_over_ = is_whole_search() && In(reply.body).boolean();
  reply_.ended = request_.ends && reply.ended;
  track_operations(reply);
  if (pool_->balanced()) record_operation(reply);
  if (request_.call == number_of<&List::C_GetOperationState>()) remember_state(reply);
  if (state_refused_ && reply.rv == CKR_OK) return finish(CKR_SAVED_STATE_INVALID);
  if (reply.rv == CKR_OK) {
    values_.append(reply.values.data(), reply.values.size());
    if (is_search()) return pool_->balanced() ? find_on_all(reply) : collect_found(reply);
    if (!reply.handles.empty() && refuse_private(reply)) return;
    if (pool_->balanced() && !reply.handles.empty()) return created_in_pool(reply);
    after_success(reply);
  }
  if (changes_pin() && may_have_changed_pin(reply.rv)) note_pin(reply.rv);
  end_creation(blame_of(reply.rv) == Blame::nobody);
  finish(reply.rv, reply.body);
}

void ClientCall::after_success(Reply& reply) {
  if (!reply.handles.empty()) issue_created(reply);
  switch (info_->policy.objects) {
    case Objects::changes: return note_changed(reply);
    case Objects::destroys: return note_destroyed();
    default: break;
  }
}

// C_SetPIN or C_InitPIN, in a pool of one; in others no call does these itself.
bool ClientCall::changes_pin() const {
  return (request_.call == number_of<&List::C_SetPIN>() || request_.call == number_of<&List::C_InitPIN>()) &&
         pool_ != nullptr && !pool_->balanced() && place_ != nullptr;
}

// Everybody forgets the PIN that was kept. In a worker that all share, those who are logged in are compared with the new one.
void ClientCall::note_pin(CK_RV rv) {
  Member& member = pool_->member;
  const bool is_users_own = request_.call == number_of<&List::C_SetPIN>();
  member.pin_changed(*place_, !is_users_own);
  if (rv == CKR_OK && !is_users_own) member.user().offer_own_pin_again();
  if (rv != CKR_OK || !is_users_own || !member.user().is_shared()) return;
  In in(request_.body);
  in.skip();  // the old one
  const Buffer pin = next_secret(in);
  for (LoginDomain* domain : {&member.user(), &member.so()}) domain->keep_changed(pin);
}

// Keeps book of which operations are active in which real session. The standard says when they end (§5.8 to §5.17); where
// a module may see it differently the real session stays with this one, so that the module itself answers what follows.
void ClientCall::track_operations(const Reply& reply) {
  const Policy& policy = info_->policy;
  if (request_.call == kSessionCancel && reply.rv == CKR_OK &&
      (cancelled(request_.body) & Operation::find) != Operation::none)
    session_->search_detached = false;
  Hold* hold = session_->hold_in(*place_);
  const bool restores = request_.call == kSetOperationState && reply.rv == CKR_OK;
  const bool is_over = search_is_over_ || reply_.ended;
  const bool starts = (request_.init != 0 && !is_over) || (policy.effect == Effect::starts && reply.rv == CKR_OK);
  if (hold == nullptr && (starts || restores)) {
    session_->holds.push_back({lease_, place_, Operation::none, Operation::none, services_.runtime.now_ms()});
    lease_ = nullptr;
    hold = &session_->holds.back();
  }
  if (hold == nullptr) return;
  if (reply_.ended) {
    hold->active = hold->active & ~policy.operation;
    hold->in_doubt = hold->in_doubt & ~policy.operation;
  }
  hold->since_ms = services_.runtime.now_ms();
  if (restores) hold->in_doubt = Operation::any;
  if (starts) {
    session_->take_lost(policy.operation);  // a new one takes its place
    // C_…Init without a mechanism cancels (3.0 §5.8.1); a search has none and starts all the same.
    const bool cancels = !request_.has_mechanism && policy.operation != Operation::find;
    hold->active = cancels ? hold->active & ~policy.operation : hold->active | policy.operation;
    hold->in_doubt = hold->in_doubt & ~policy.operation;
  }
  // What a module says of an operation that we believe to be active is not believed when it says that there is none: NSS
  // keeps one that it refuses parts of.
  const bool was_active = (hold->active & policy.operation) != Operation::none;
  if (policy.effect == Effect::continues && reply.rv != CKR_OK && reply.rv != CKR_BUFFER_TOO_SMALL) {
    hold->active = hold->active & ~policy.operation;
    if (was_active) hold->in_doubt = hold->in_doubt | policy.operation;
  }
  if (policy.effect == Effect::ends && reply.rv != CKR_BUFFER_TOO_SMALL &&
      !(reply.rv == CKR_OK && answers_length_query(reply.body))) {
    const Operation ended = request_.call == kSessionCancel ? cancelled(request_.body) : policy.operation;
    if (request_.call == kSessionCancel && reply.rv == CKR_FUNCTION_NOT_SUPPORTED) return;
    hold->active = hold->active & ~ended;
    if (reply.rv == CKR_OK || reply.rv == CKR_SIGNATURE_INVALID) hold->in_doubt = hold->in_doubt & ~ended;
    else if (was_active) hold->in_doubt = hold->in_doubt | policy.operation;
  }
  if (hold->active == Operation::none && hold->in_doubt == Operation::none) {
    lease_ = hold->session;
    std::erase_if(session_->holds, [&](const Hold& other) { return other.place == place_; });
    return;
  }
  const Bound pin = hold->active == Operation::none                                        ? Bound::doubt
                    : hold->active == Operation::find && hold->in_doubt == Operation::none ? Bound::search
                                                                                           : Bound::operation;
  if (hold->session->pin != pin) hold->session->pool->pin(*hold->session, pin, application_);
}

void ClientCall::doubt_operations() {
  if (lease_ != nullptr) lease_->tainted = true;
  if (Hold* hold = session_ != nullptr ? session_->hold_in(*place_) : nullptr) {
    hold->in_doubt = hold->in_doubt | info_->policy.operation;
  }
}

void ClientCall::settle_lease() {
  if (RealSession* lease = std::exchange(lease_, nullptr)) lease->pool->give_back(*lease);
}

}  // namespace p11shim
