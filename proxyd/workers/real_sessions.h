// The real sessions of one worker on one token, of one kind (R/O or R/W): opened on demand up to a limit, lent for the
// length of an operation, returned clean. A session whose operations cannot be known (a call failed in a way that modules
// treat differently, or overran its deadline) is never lent as it is: it is closed, or kept aside while it owns session
// objects, which would die with it.
//
// Sessions that unfinished operations occupy (pinned ones) do not work: `working` more are opened beside them, up to `most`
// altogether. When no more can be had, a finished search gives its session up, and whoever still gets none is told so.
//
// Applications that wait take turns: each gets the same time, however many of its threads wait (start-time fair queueing,
// by what its calls have taken lately).
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "proxyd/loop/waiting.h"
#include "proxyd/workers/worker.h"

namespace p11shim {

class RealSessions;

// What keeps a real session from being lent to anybody else between two calls.
enum class Bound : std::uint8_t {
  none,
  operation,
  search,   // nothing but a search whose result proxyd has
  doubt,    // a call failed; the module may or may not have ended its operation
  objects,  // tainted, and session objects live in it
};

struct RealSession {
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  RealSessions* pool = nullptr;
  std::uint32_t owned_objects = 0;  // session objects made in it
  bool tainted = false;             // an operation may still be active
  bool lent = false;
  Bound pin = Bound::none;
  const void* pinned_by = nullptr;  // the application
  std::uint64_t returned_ms = 0;
  const void* borrower = nullptr;  // the application
  std::uint64_t lent_ns = 0;       // 0: it was kept between calls, which says nothing about their cost
};

class RealSessions {
 public:
  // `slot` gives the token's slot in this worker.
  RealSessions(Worker& worker, bool read_write, std::uint32_t working, std::uint32_t most,
               std::function<CK_SLOT_ID()> slot);

  enum class Outcome : std::uint8_t { lent, waiting, failed };
  struct Lease {
    Outcome outcome;
    RealSession* session = nullptr;
    CK_RV rv = CKR_OK;  // with failed: what the module answered to C_OpenSession
  };
  // waiting: `waiter` is resumed when it should ask again, or was already. The worker must be ready. No single
  // application pins so many that others cannot have one.
  Lease borrow(Waiter& waiter, const void* application = nullptr);
  // It stays with its borrower between calls; again with another `pin` when that changes.
  void pin(RealSession& session, Bound pin, const void* application);
  void give_back(RealSession& session);
  // Every session is pinned, none can be taken back, and no other can be opened: waiting may be in vain.
  bool hopeless();
  // A session object that was made in it is gone; the session may be with it.
  void object_gone(RealSession& session);

  // Asked to take back a session that is pinned for this reason (doubt or search), when there is no other. It must give
  // one back, at once or later, and say true, or false.
  using Reclaim = std::function<bool(RealSessions&, Bound)>;
  void set_reclaim(Reclaim reclaim) { reclaim_ = std::move(reclaim); }
  // Told when the last session is closed.
  void set_emptied(std::function<void()> emptied) { emptied_ = std::move(emptied); }
  // The worker died: all sessions are gone.
  void forget_all();
  // Another token is in the slot: what the module accepted before says nothing.
  void token_changed() { proven_ = false; }
  // Closes all, those that are lent when they come back, so that the token can be initialised. Calls back when none is left.
  void close_all(std::function<void()> done);
  // Closes those that were opened beside pinned ones and that nobody has needed for a while.
  void trim(std::uint64_t now_ms);

  // The module accepted C_OpenSession of this kind once since the worker started.
  [[nodiscard]] bool proven() const { return proven_; }
  [[nodiscard]] std::size_t open_count() const { return sessions_.size(); }
  [[nodiscard]] Worker& worker() { return worker_; }
  [[nodiscard]] bool read_write() const { return read_write_; }

 private:
  void open();
  void resume_waiting();
  void resume_one();
  std::uint64_t turn_of(const void* application);
  void note_cost(const RealSession& session);
  void close(RealSession& session);
  void drop(RealSession& session);
  void unpin(RealSession& session);
  void tell_failure(CK_RV rv);
  void tell_closed();
  bool take_back(Bound pin);
  [[nodiscard]] bool exhausted() const;
  [[nodiscard]] bool may_grow(const void* application) const;
  [[nodiscard]] std::size_t coming() const { return opening_ + closing_; }
  [[nodiscard]] std::size_t total() const { return sessions_.size() + coming(); }

  Worker& worker_;
  const bool read_write_;
  const std::uint32_t working_;
  const std::uint32_t most_;
  const std::function<CK_SLOT_ID()> slot_;
  Reclaim reclaim_;
  std::function<void()> emptied_;
  std::vector<std::unique_ptr<RealSession>> sessions_;
  std::vector<RealSession*> free_;  // the last one returned is lent first: its state is warm in the module
  std::size_t pinned_ = 0;
  std::unordered_map<const void*, std::uint32_t> pinned_by_;
  WaitList waiting_;
  struct Turns {
    std::uint64_t next = 0;
    std::uint64_t cost_us = 1;  // of one call, on average
  };
  std::unordered_map<const void*, Turns> turns_;  // of those that have waited lately
  std::uint64_t turn_ = 0;                        // whose it is
  std::vector<std::function<void()>> closed_;     // of close_all
  std::uint32_t opening_ = 0;
  std::uint32_t closing_ = 0;
  CK_RV last_open_rv_ = CKR_OK;
  bool telling_failure_ = false;  // whoever borrows now learns last_open_rv_
  bool module_is_full_ = false;   // it refused one more session while we had some
  bool proven_ = false;
  std::uint64_t epoch_ = 0;  // of forget_all: answers from before are ignored
};

}  // namespace p11shim
