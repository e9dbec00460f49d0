// The real sessions of one worker on one token, of one kind (R/O or R/W): opened on demand up to a limit, lent for the
// length of an operation, returned clean. A session whose operations cannot be known (a call failed in a way that modules
// treat differently, or overran its deadline) is never lent as it is: it is closed, or kept aside while it owns session
// objects, which would die with it.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "proxyd/loop/waiting.h"
#include "proxyd/workers/worker.h"

namespace p11shim {

class RealSessions;

struct RealSession {
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  RealSessions* pool = nullptr;
  std::uint32_t owned_objects = 0;  // session objects made in it
  bool tainted = false;             // an operation may still be active
  bool lent = false;
};

class RealSessions {
 public:
  // `slot` gives the token's slot in this worker.
  RealSessions(Worker& worker, bool read_write, std::uint32_t limit, std::function<CK_SLOT_ID()> slot);

  enum class Outcome : std::uint8_t { lent, waiting, failed };
  struct Lease {
    Outcome outcome;
    RealSession* session = nullptr;
    CK_RV rv = CKR_OK;  // with failed: what the module answered to C_OpenSession
  };
  // waiting: `waiter` is resumed when it should ask again, or was already. The worker must be ready.
  Lease borrow(Waiter& waiter);
  void give_back(RealSession& session);
  // A session object that was made in it is gone; the session may be with it.
  void object_gone(RealSession& session);

  // Asked for a session that may be taken from someone whose operation is in doubt, when all are lent. It must give
  // one back (tainted) and say true, or false.
  void set_reclaim(std::function<bool(RealSessions&)> reclaim) { reclaim_ = std::move(reclaim); }
  // The worker died: all sessions are gone.
  void forget_all();
  // Another token is in the slot: what the module accepted before says nothing.
  void token_changed() { proven_ = false; }
  // Closes those that nobody uses, so that the token can be initialised. Calls back when done.
  void close_idle(std::function<void()> done);

  // The module accepted C_OpenSession of this kind once since the worker started.
  [[nodiscard]] bool proven() const { return proven_; }
  [[nodiscard]] std::size_t open_count() const { return sessions_.size(); }
  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] bool read_write() const { return read_write_; }

 private:
  void open();
  void resume_waiting();
  void close(RealSession& session, std::function<void()> done = nullptr);
  void drop(RealSession& session);
  void tell_failure(CK_RV rv);

  Worker& worker_;
  const bool read_write_;
  const std::uint32_t limit_;
  const std::function<CK_SLOT_ID()> slot_;
  std::function<bool(RealSessions&)> reclaim_;
  std::vector<std::unique_ptr<RealSession>> sessions_;
  std::vector<RealSession*> free_;  // the last one returned is lent first: its state is warm in the module
  WaitList waiting_;
  std::uint32_t opening_ = 0;
  std::uint32_t closing_ = 0;
  CK_RV last_open_rv_ = CKR_OK;
  bool telling_failure_ = false;  // whoever borrows now learns last_open_rv_
  bool module_is_full_ = false;  // it refused one more session while we had some
  bool proven_ = false;
  std::uint64_t epoch_ = 0;  // of forget_all: answers from before are ignored
};

}  // namespace p11shim
