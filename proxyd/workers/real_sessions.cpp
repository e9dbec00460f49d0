#include "proxyd/workers/real_sessions.h"

#include <algorithm>

#include "calls/table.h"

namespace p11shim {
namespace {
constexpr auto kOpen = number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>();
constexpr auto kClose = number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>();
}  // namespace

RealSessions::RealSessions(Worker& worker, bool read_write, std::uint32_t limit, std::function<CK_SLOT_ID()> slot)
    : worker_(worker), read_write_(read_write), limit_(std::max(limit, 1u)), slot_(std::move(slot)) {}

RealSessions::Lease RealSessions::borrow(Waiter& waiter) {
  if (telling_failure_) return {Outcome::failed, nullptr, last_open_rv_};
  if (!free_.empty()) {
    RealSession* session = free_.back();
    free_.pop_back();
    session->lent = true;
    return {Outcome::lent, session};
  }
  if (!module_is_full_ && sessions_.size() + opening_ + closing_ < limit_) {
    waiting_.add(waiter);  // first: the worker may turn out to be dead at once
    open();
    return {Outcome::waiting};
  }
  const std::uint64_t epoch = epoch_;
  // One that owns session objects is only set aside: then the next one is asked for.
  while (free_.empty() && opening_ + closing_ == 0 && reclaim_ && reclaim_(*this)) {
  }
  if (!free_.empty() || epoch != epoch_) return borrow(waiter);
  waiting_.add(waiter);
  return {Outcome::waiting};
}

void RealSessions::give_back(RealSession& session) {
  session.lent = false;
  if (session.tainted) {
    if (session.owned_objects == 0) close(session);
    return;
  }
  free_.push_back(&session);
  resume_waiting();
}

void RealSessions::object_gone(RealSession& session) {
  if (session.owned_objects > 0) --session.owned_objects;
  if (session.tainted && !session.lent && session.owned_objects == 0) close(session);
}

// A waiter that is resumed may have no use for a session any more: then it is the next one's.
void RealSessions::resume_waiting() {
  do waiting_.resume_one();
  while (!free_.empty() && !waiting_.empty());
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
      free_.push_back(session.get());
      sessions_.push_back(std::move(session));
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
  else waiting_.resume_one();
  telling_failure_ = false;
}

void RealSessions::close(RealSession& session, std::function<void()> done) {
  const std::uint64_t handle = session.handle;
  drop(session);
  ++closing_;
  OwnCall::start(worker_, kClose, {&handle, 1}, {}, [this, epoch = epoch_, done = std::move(done)](Reply*) {
    if (epoch == epoch_) {
      --closing_;
      module_is_full_ = false;
      resume_waiting();
    }
    if (done) done();
  });
}

void RealSessions::drop(RealSession& session) {
  std::erase(free_, &session);
  std::erase_if(sessions_, [&](const auto& owned) { return owned.get() == &session; });
}

void RealSessions::forget_all() {
  ++epoch_;
  free_.clear();
  sessions_.clear();
  opening_ = closing_ = 0;
  proven_ = module_is_full_ = false;
  waiting_.resume_all();
}

void RealSessions::close_idle(std::function<void()> done) {
  auto remaining = std::make_shared<std::size_t>(free_.size());
  if (*remaining == 0) return done();
  const std::vector<RealSession*> idle = free_;
  for (RealSession* session : idle)
    close(*session, [remaining, done] {
      if (--*remaining == 0) done();
    });
}

}  // namespace p11shim
