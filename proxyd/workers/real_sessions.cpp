#include "proxyd/workers/real_sessions.h"

#include <algorithm>

#include "calls/table.h"

namespace p11shim {
namespace {
constexpr auto kOpen = number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>();
constexpr auto kClose = number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>();
constexpr std::uint64_t kSurplusMs = 10'000;
constexpr std::uint64_t kMostCost = 1'000'000;  // microseconds: of a call that hangs
}  // namespace

RealSessions::RealSessions(Worker& worker, bool read_write, std::uint32_t working, std::uint32_t most,
                           std::function<CK_SLOT_ID()> slot)
    : worker_(worker),
      read_write_(read_write),
      working_(std::max(working, 1u)),
      most_(std::max(most, working_)),
      slot_(std::move(slot)) {}

RealSessions::Lease RealSessions::borrow(Waiter& waiter, const void* application) {
  if (telling_failure_) return {Outcome::failed, nullptr, last_open_rv_};
  // One that owns session objects is only set aside: then the next one is asked for.
  if (module_is_full_ || total() >= working_)
    while (free_.empty() && coming() == 0 && take_back(Bound::doubt)) {
    }
  if (free_.empty()) {
    const bool grows = closed_.empty() && may_grow(application);  // not while all are being closed
    waiting_.add(waiter, turn_of(application));                   // first: the worker may turn out to be dead at once
    if (grows) open();
    else if (exhausted()) take_back(Bound::search);
    return {Outcome::waiting};
  }
  RealSession* session = free_.back();
  free_.pop_back();
  session->lent = true;
  session->borrower = application;
  session->lent_ns = uv_hrtime();
  return {Outcome::lent, session};
}

bool RealSessions::may_grow(const void* application) const {
  if (module_is_full_ || total() - pinned_ >= working_ || total() >= most_) return false;
  if (total() < working_) return true;
  if (closing_ != 0) return false;  // it makes room
  const auto own = pinned_by_.find(application);
  return own == pinned_by_.end() || own->second < most_ - most_ / 4;
}

bool RealSessions::exhausted() const {
  return free_.empty() && coming() == 0 && !sessions_.empty() && pinned_ == sessions_.size();
}

bool RealSessions::hopeless() { return exhausted() && !take_back(Bound::doubt) && !take_back(Bound::search); }

bool RealSessions::take_back(Bound pin) {
  const bool any =
      std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& session) { return session->pin == pin; });
  return any && reclaim_ && reclaim_(*this, pin);
}

void RealSessions::pin(RealSession& session, Bound pin, const void* application) {
  unpin(session);
  session.pin = pin;
  session.lent_ns = 0;
  if (pin == Bound::none) return;
  ++pinned_;
  session.pinned_by = application;
  ++pinned_by_[application];
  if (may_grow(nullptr)) resume_one();
}

void RealSessions::unpin(RealSession& session) {
  if (session.pin == Bound::none) return;
  session.pin = Bound::none;
  --pinned_;
  const auto by = pinned_by_.find(session.pinned_by);
  if (by != pinned_by_.end() && --by->second == 0) pinned_by_.erase(by);
}

std::uint64_t RealSessions::turn_of(const void* application) {
  Turns& turns = turns_[application];
  const std::uint64_t turn = std::max(turns.next, turn_);
  turns.next = turn + turns.cost_us;
  return turn;
}

void RealSessions::note_cost(const RealSession& session) {
  const auto found = turns_.find(session.borrower);
  if (found == turns_.end() || session.lent_ns == 0) return;
  const std::uint64_t cost = std::clamp<std::uint64_t>((uv_hrtime() - session.lent_ns) / 1000, 1, kMostCost);
  found->second.cost_us = (7 * found->second.cost_us + cost + 7) / 8;
}

void RealSessions::give_back(RealSession& session) {
  note_cost(session);
  session.lent = false;
  unpin(session);
  if (!closed_.empty()) return close(session);
  if (session.tainted) {
    if (session.owned_objects == 0) return close(session);
    pin(session, Bound::objects, nullptr);
    return resume_waiting();
  }
  session.returned_ms = worker_.runtime().now_ms();
  free_.push_back(&session);
  resume_waiting();
}

void RealSessions::object_gone(RealSession& session) {
  if (session.owned_objects > 0) --session.owned_objects;
  if (session.tainted && !session.lent && session.owned_objects == 0) close(session);
}

// A waiter that is resumed may have no use for a session any more: then it is the next one's.
void RealSessions::resume_waiting() {
  do resume_one();
  while (!waiting_.resuming() && !free_.empty() && !waiting_.empty());
}

void RealSessions::resume_one() {
  if (waiting_.empty() && !turns_.empty()) turns_ = {};  // clear() would go through all its buckets, each time
  if (!waiting_.empty()) turn_ = std::max(turn_, waiting_.first_turn());
  waiting_.resume_one();
}

void RealSessions::open() {
  ++opening_;
  Buffer body;
  Out out(body);
  out.uint(CKF_SERIAL_SESSION | (read_write_ ? CKF_RW_SESSION : 0));
  const std::uint64_t slot = slot_();
  OwnCall::start(worker_, kOpen, {&slot, 1}, std::move(body), [this, epoch = epoch_](Reply* reply) {
    if (epoch != epoch_) return;
    --opening_;
    if (reply != nullptr && reply->rv == CKR_OK && reply->handles.size() == 1) {
      proven_ = true;
      auto session = std::make_unique<RealSession>();
      session->handle = reply->handles[0];
      session->pool = this;
      session->returned_ms = worker_.runtime().now_ms();
      sessions_.push_back(std::move(session));
      if (closed_.empty()) free_.push_back(sessions_.back().get());
      else close(*sessions_.back());
    } else if (reply != nullptr && reply->rv == CKR_SESSION_COUNT && !sessions_.empty()) {
      module_is_full_ = true;  // its limit is lower than ours: waiting for one of our own is the answer
    } else {
      tell_failure(reply != nullptr ? reply->rv : CKR_DEVICE_ERROR);
    }
    resume_waiting();
  });
}

// To everybody who waits if there is no session to wait for, else to one.
void RealSessions::tell_failure(CK_RV rv) {
  last_open_rv_ = rv;
  telling_failure_ = true;
  if (sessions_.empty()) waiting_.resume_all();
  else resume_one();
  telling_failure_ = false;
}

void RealSessions::close(RealSession& session) {
  const std::uint64_t handle = session.handle;
  drop(session);
  if (sessions_.empty() && emptied_) emptied_();
  ++closing_;
  OwnCall::start(worker_, kClose, {&handle, 1}, {}, [this, epoch = epoch_](Reply*) {
    if (epoch != epoch_) return;
    --closing_;
    module_is_full_ = false;
    tell_closed();
    resume_waiting();
  });
}

void RealSessions::drop(RealSession& session) {
  unpin(session);
  std::erase(free_, &session);
  std::erase_if(sessions_, [&](const auto& owned) { return owned.get() == &session; });
}

void RealSessions::forget_all() {
  ++epoch_;
  free_.clear();
  sessions_.clear();
  pinned_by_.clear();
  pinned_ = 0;
  opening_ = closing_ = 0;
  proven_ = module_is_full_ = false;
  tell_closed();
  waiting_.resume_all();
}

void RealSessions::close_all(std::function<void()> done) {
  closed_.push_back(std::move(done));
  std::vector<RealSession*> unused = free_;
  for (const auto& session : sessions_)
    if (session->pin == Bound::objects) unused.push_back(session.get());
  for (RealSession* session : unused) close(*session);
  tell_closed();
}

void RealSessions::tell_closed() {
  if (total() != 0) return;
  const auto closed = std::exchange(closed_, {});
  for (const auto& done : closed) done();
}

// The first of those that are free is the one that was used longest ago.
void RealSessions::trim(std::uint64_t now_ms) {
  while (sessions_.size() - pinned_ > working_ && !free_.empty() && free_.front()->owned_objects == 0 &&
         now_ms - free_.front()->returned_ms >= kSurplusMs)
    close(*free_.front());
}

}  // namespace p11shim
