#include "proxyd/calls/client_call.h"

#include <algorithm>

#include "proxyd/calls/bodies.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

constexpr std::uint64_t kNoSlot = UINT64_MAX;

// That other applications may see and remember.
bool changes_objects(const Policy& policy) {
  return policy.objects == Objects::changes || policy.objects == Objects::destroys;
}

std::uint32_t to_us(std::uint64_t from_ns, std::uint64_t to_ns) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>((to_ns - from_ns) / 1000, UINT32_MAX));
}

}  // namespace

// The calls that proxyd answers itself, or does something about before or after it forwards them.
ClientCall::Step ClientCall::own_step(std::uint32_t call) {
  switch (call) {
    case number_of<&List::C_GetSlotList>(): return &ClientCall::get_slot_list;
    case number_of<&List::C_InitToken>(): return &ClientCall::init_token;
    case number_of<&List::C_InitPIN>(): return &ClientCall::init_pin;
    case number_of<&List::C_SetPIN>(): return &ClientCall::set_pin;
    case number_of<&List::C_OpenSession>(): return &ClientCall::open_session;
    case number_of<&List::C_CloseSession>(): return &ClientCall::close_session;
    case number_of<&List::C_CloseAllSessions>(): return &ClientCall::close_all_sessions;
    case number_of<&List::C_GetSessionInfo>(): return &ClientCall::get_session_info;
    case number_of<&List::C_Login>():
    case number_of<&List::C_LoginUser>(): return &ClientCall::log_in;
    case number_of<&List::C_Logout>(): return &ClientCall::log_out;
    case number_of<&List::C_SetOperationState>(): return &ClientCall::set_operation_state;
    case number_of<&List::C_FindObjectsInit>(): return &ClientCall::find_objects_init;
    case number_of<&List::C_FindObjects>(): return &ClientCall::find_objects;
    case number_of<&List::C_FindObjectsFinal>(): return &ClientCall::find_objects_final;
    default: return nullptr;
  }
}

ClientCall::ClientCall(Services& services, Answer answer)
    : services_(services), answer_(std::move(answer)), slices_(services.slices) {}

ClientCall::~ClientCall() {
  if (worker_ != nullptr) worker_->withdraw(*this, nullptr);
  if (active_) --services_.runtime.calls;
  end_creation(false);
}

bool ClientCall::begin(Application& application, std::span<const std::uint8_t> frame) {
  if (!read_request(frame, request_) || request_.area != 0) return false;
  info_ = call_info(request_.call);
  if (info_ == nullptr || info_->policy.where == Where::shim) return false;
  if (request_.handles.empty() && request_.call != number_of<&List::C_GetSlotList>()) return false;
  if (request_.init != 0) {
    const CallInfo* init = call_info(request_.init);
    if (init == nullptr || !may_lead(init->policy, info_->policy)) return false;
    if (request_.ends && !may_end(info_->policy)) return false;
  }
  if (!names_its_mechanism(request_)) return false;

  active_ = true;
  ++services_.runtime.calls;
  malformed_ = false;
  ++serial_;
  application_ = &application;
  started_ns_ = uv_hrtime();
  lane_ns_ = 0;
  hsm_us_ = 0;
  pool_ = nullptr;
  session_ = nullptr;
  place_ = nullptr;
  changed_object_.reset();
  if (changes_objects(info_->policy) && request_.handles.size() > 1)
    if (const auto own = application.session_objects.find(request_.handles[1]);
        own != application.session_objects.end())
      changed_object_ = own->second;
  only_asks_ = asked_ = false;
  moved_to_ = nullptr;
  state_refused_ = false;
  has_key_ = false;
  elsewhere_.clear();
  if (!found_handles_.empty()) found_handles_ = {};  // clear() would go through all its buckets, each time
  search_is_over_ = collects_ = false;
  values_.clear();
  attempts_.begin();
  hedge_ = nullptr;
  reply_.handles.clear();
  reply_.init_rv = CKR_OK;
  reply_.ended = false;
  scratch_.clear();
  in_line_.clear();
  uses_area_ = area_ != nullptr && carries_bulk(info_->policy);
  area_is_lost_ = false;

  std::uint64_t limit = static_cast<std::uint64_t>(
      (info_->policy.slow ? services_.limits.keygen_deadline : services_.limits.deadline).count());
  if (request_.deadline_ms != 0) limit = std::min<std::uint64_t>(limit, request_.deadline_ms);
  limit = cap_for_member(limit);
  scarce_ = nullptr;
  deadline_at_ms_ = services_.runtime.now_ms() + limit;
  services_.deadlines.arm(*this, deadline_at_ms_);

  if (const Step own = own_step(request_.call)) go(own);
  else if (info_->policy.slot) go(&ClientCall::forward_slot);
  else go(&ClientCall::forward_session);
  return true;
}

// A member may be given less time than calls have otherwise (max_call).
std::uint64_t ClientCall::cap_for_member(std::uint64_t limit_ms) {
  if (request_.handles.empty()) return limit_ms;
  const VirtualSession* session = info_->policy.slot ? nullptr : application_->session(request_.handles[0]);
  const Pool* pool = session != nullptr   ? &session->pool
                     : info_->policy.slot ? visible_pool(request_.handles[0])
                                          : nullptr;
  if (pool == nullptr || pool->balanced() || !pool->member.config().options.max_call) return limit_ms;
  return std::min<std::uint64_t>(limit_ms, static_cast<std::uint64_t>(pool->member.config().options.max_call->count()));
}

// Its time is over: the application is answered; what is still under way in the module is left to end by itself.
void ClientCall::expired() {
  if (scarce_ != nullptr && waits() && !scarcity_ends()) return;
  stop_waiting();
  if (worker_ != nullptr && lane_ != nullptr) attempt_failed("it has not answered before the deadline");
  if (worker_ != nullptr) withdraw_from_worker();
  finish(CKR_DEVICE_ERROR);
}

// It is not told any more what becomes of it there. The real session is given back, tainted, when the module has answered.
void ClientCall::withdraw_from_worker() {
  RealSession* real = std::exchange(lease_, nullptr);
  if (session_ != nullptr && place_ != nullptr)
    if (Hold* hold = session_->hold_in(*place_)) {
      real = hold->session;
      std::erase_if(session_->holds, [&](const Hold& other) { return other.place == place_; });
    }
  if (real != nullptr) {
    real->tainted = true;
    real->pool->pin(*real, Bound::operation, application_);
  }
  Worker* worker = worker_;
  // What it changes it may change only now, after the application was answered.
  const std::uint64_t slot = pool_ != nullptr && changes_objects(info_->policy) ? pool_->slot : kNoSlot;
  // That holds for a PIN, too; until then it may be the old one or the new one.
  Member* repinned = changes_pin() ? &pool_->member : nullptr;
  if (repinned != nullptr) repinned->pin_changed(*place_);
  worker->withdraw(*this, [real, worker, generation = worker->generation(), slot, &generations = services_.generations,
                           repinned, place = place_] {
    if (slot != kNoSlot) generations.moved(slot);
    if (repinned != nullptr) repinned->pin_changed(*place);
    if (real != nullptr && generation == worker->generation()) real->pool->give_back(*real);
  });
  worker_ = nullptr;
  area_is_lost_ = uses_area_;
}

void ClientCall::finish(CK_RV rv) { finish(rv, {}); }

// A session object that no forked relative shares, or has come to share meanwhile.
bool ClientCall::changes_own_object() const {
  if (request_.handles.size() < 2 || (request_.handles[1] & kSessionObjectBit) == 0) return false;
  const bool is_here = application_->session_objects.contains(request_.handles[1]);
  return changed_object_.use_count() == (is_here ? 1 : 0);
}

// What other applications remember of this slot may have changed by this call, whatever came of it.
void ClientCall::move_generation() {
  const Policy& policy = info_->policy;
  const bool changes = changes_objects(policy) && !changes_own_object();
  const bool administers = policy.audit == AuditClass::admin && policy.objects == Objects::none;
  if (pool_ == nullptr) return;
  if (changes || administers) services_.generations.moved(pool_->slot);
  if (administers || policy.audit == AuditClass::auth) services_.generations.token_moved(pool_->slot);
  if (request_.call == number_of<&CK_FUNCTION_LIST_3_0::C_InitToken>()) services_.generations.slots_moved();
}

void ClientCall::finish(CK_RV rv, std::span<const std::uint8_t> body) {
  move_generation();
  stop_waiting();
  slices_.cancel();
  disarm();
  attempt_deadline_.disarm();
  hedge_deadline_.disarm();
  hedge_ = nullptr;  // it ends by itself
  attempt_abandoned();
  end_creation(false);
  if (std::exchange(collects_, false) && rv != CKR_OK) abandon_search();
  settle_lease();
  drop_copies();
  if (session_ != nullptr && pool_->balanced()) forget_failed_operation(rv);
  audit(rv, body);
  log(rv, body);
  reply_.values = {};
  if (rv == CKR_OK && !values_.empty()) name_values();
  leave_session();
  head_.clear();
  account(rv);
  reply_.id = request_.id;
  reply_.rv = rv;
  reply_.body = body;
  reply_.annex = {};
  const std::uint64_t now = uv_hrtime();
  reply_.hsm_us = hsm_us_;
  reply_.queue_us = to_us(started_ns_, now) - std::min(hsm_us_, to_us(started_ns_, now));
  active_ = false;
  --services_.runtime.calls;
  if (reply_.init_rv != CKR_OK) reply_.rv = CKR_OK;  // the call itself was not executed
  // Handles travel with CKR_OK only, but for what C_GetAttributeValue and its like never have.
  if (rv != CKR_OK) reply_.handles.clear();
  answer_(reply_);
}

void ClientCall::leave_session() {
  if (session_ == nullptr) return;
  VirtualSession* session = std::exchange(session_, nullptr);
  session->busy = false;
  if (application_->token(*pool_).logins_ended != logins_ended_)
    services_.applications.login_ended_meanwhile(*application_, *session);
  if (session->turn != nullptr) session->turn->resume_one();
}

void ClientCall::account(CK_RV rv) {
  const std::uint64_t now = uv_hrtime();
  const bool is_executed = reply_.init_rv == CKR_OK;  // not if the Init that came along has failed
  application_->calls += 1 + (request_.init != 0 && is_executed);
  application_->failed += rv != CKR_OK;
  application_->last_call_ms = services_.runtime.now_ms();
  Sample sample;
  sample.member = pool_ == nullptr       ? services_.registry.member("", "")
                  : attempts_.count != 0 ? member_statistics_
                                         : pool_->statistics;
  sample.function = request_.call;
  if (request_.has_mechanism) sample.mechanism = request_.mechanism;
  sample.client = application_->client;
  sample.rv = rv;
  sample.times.total = now - started_ns_;
  if (lane_ns_ != 0) {
    sample.times.queue = lane_ns_ - started_ns_;
    sample.times.hsm = std::uint64_t{hsm_us_} * 1000;
  }
  if (request_.init != 0) {
    Sample init = sample;
    init.function = request_.init;
    init.rv = reply_.init_rv;
    if (!is_executed) return services_.registry.record(init);
    init.mechanism.reset();  // both are one use of it, and have one time
    init.times = {};
    services_.registry.record(init);
  }
  services_.registry.record(sample);
}

bool ClientCall::may(const AccessList& list) const { return application_->selected_by(list); }

// Nobody administers a token whom the kernel does not attest.
bool ClientCall::may_administer() const { return application_->peer && may(pool_->config.access.admin); }

Pool* ClientCall::visible_pool(std::uint64_t slot) {
  Pool* pool = services_.catalog.find(slot);
  return pool != nullptr && may(pool->config.access.allow) ? pool : nullptr;
}

}  // namespace p11shim
