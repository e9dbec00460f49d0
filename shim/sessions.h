// The virtual sessions that the application has open: enough to open them again, under the same handles, at a
// proxyd that has been restarted. And what is known of their operations: the mechanisms of their message operations
// (in C_EncryptMessage and its kin (3.0 §5.9) the parameter is a bare pointer, which can only be read by who remembers
// C_MessageEncryptInit), and the Inits that wait for the call that uses them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "shim/operations.h"

namespace p11shim {

struct OpenSession {
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;  // the application's
  CK_SLOT_ID slot = 0;
  CK_FLAGS flags = 0;
  CK_SESSION_HANDLE wire = handle;  // proxyd's; differs once the session has been kept and given out again
};

// What there is of a session's operations that the module has not seen, or the application not been told.
struct Unsettled {
  bool parts = false;  // that were gathered
  bool init = false;   // waits
  bool lost = false;   // an Init that was sent late has failed
  [[nodiscard]] bool any() const { return parts || init || lost; }
};

// All functions may be called from any thread. What does not fit into memory is forgotten: it costs a session
// its restoration, or a message its parameter's description, never the call that succeeded.
class Sessions {
 public:
  void opened(const OpenSession& session) noexcept;
  void closed(CK_SESSION_HANDLE handle) noexcept;
  void closed_all(CK_SLOT_ID slot) noexcept;
  [[nodiscard]] std::vector<OpenSession> list() const;
  // Moves whenever the application opens or closes a session.
  [[nodiscard]] std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // The application closes a session. One that leaves no trace (no object, no operation, not its last one on the token)
  // is kept, and is the next one that it opens with the same flags, under a new handle. True: it is kept. False: it is being
  // closed, and counts as open no more, until closed() or close_failed(). `slots`: the number that moves when tokens may have gone
  // or may no longer be used (GenerationPage::kSlots).
  bool keep(CK_SESSION_HANDLE handle, std::uint64_t slots) noexcept;
  void close_failed(CK_SESSION_HANDLE handle) noexcept;
  // The new handle; CK_INVALID_HANDLE if none has been kept since the number was this.
  CK_SESSION_HANDLE reopen(CK_SLOT_ID slot, CK_FLAGS flags, std::uint64_t slots) noexcept;
  // Where it matters how many sessions there are: proxyd's handle of one that is kept and no longer will be, or
  // CK_INVALID_HANDLE. `closing`: only if no other session than those that are being closed is open on its token.
  CK_SESSION_HANDLE drop_kept() noexcept;
  CK_SESSION_HANDLE drop_kept_with(CK_SESSION_HANDLE closing) noexcept;
  // What proxyd calls this session; a handle that nobody has if it is not open.
  [[nodiscard]] CK_SESSION_HANDLE wire_handle(CK_SESSION_HANDLE handle) const noexcept;

  void message_started(CK_SESSION_HANDLE handle, Operation operation, CK_MECHANISM_TYPE mechanism) noexcept;
  void message_ended(CK_SESSION_HANDLE handle, Operation operation) noexcept;
  // 0 if there is none.
  [[nodiscard]] CK_MECHANISM_TYPE message_mechanism(CK_SESSION_HANDLE handle, Operation operation) const noexcept;

  // Calls fn(SessionOperations&, KnownInits&, const OpenSession&) under the lock and gives back what it returns; a value
  // of that type if there is no such session. `fn` must not call anything of this class.
  template <class Fn>
  auto with(CK_SESSION_HANDLE handle, Fn fn) {
    const std::lock_guard lock(mutex_);
    const auto found = find_open(handle);
    using Result = decltype(fn(found->second.operations, known_, found->second.session));
    if constexpr (std::is_void_v<Result>) {
      if (found != sessions_.end()) fn(found->second.operations, known_, found->second.session);
    } else {
      return found == sessions_.end() ? Result{} : fn(found->second.operations, known_, found->second.session);
    }
  }
  // A session whose Init waits, other than a search's, or with parts that have not been sent; with `only_session_objects`, one
  // whose Init names a session object.
  [[nodiscard]] CK_SESSION_HANDLE waiting(bool only_session_objects) const noexcept;
  void forget_inits() noexcept;
  void forget_session_objects() noexcept;
  // Returns when nothing of this session is being sent by another thread (SessionOperations::is_sending), and says what a call in
  // it has to care for. What comes to wait there from now on does so at the same time as that call.
  Unsettled wait_until_sent(CK_SESSION_HANDLE handle) noexcept;
  void sent(CK_SESSION_HANDLE handle) noexcept;

  // In a forked child: takes over the parent's open sessions, unless the fork came in the middle of a change
  // to them.
  void inherit(Sessions& parent) noexcept;

 private:
  struct Entry {
    OpenSession session;
    bool is_kept = false;         // closed for the application
    std::uint64_t kept_when = 0;  // the slots' number was this
    bool is_closing = false;      // by a message that is under way; not counted in open_
    std::unordered_map<Operation, CK_MECHANISM_TYPE> messages;
    SessionOperations operations;
  };
  using Entries = std::unordered_map<CK_SESSION_HANDLE, Entry>;
  [[nodiscard]] Entries::iterator find_open(CK_SESSION_HANDLE handle) {
    const auto found = sessions_.find(handle);
    return found != sessions_.end() && found->second.is_kept ? sessions_.end() : found;
  }
  [[nodiscard]] static bool may_be_kept(const Entry& entry);
  CK_SESSION_HANDLE drop_kept_locked();

  void changed() { changes_.fetch_add(1, std::memory_order_acq_rel); }

  std::atomic<std::uint64_t> changes_{0};
  mutable std::mutex mutex_;
  std::condition_variable sent_;
  Entries sessions_;
  std::unordered_map<CK_SLOT_ID, std::size_t> open_;  // how many that nobody is closing, by slot
  KnownInits known_;
  std::vector<CK_SESSION_HANDLE> kept_;  // the application's handles of those that are kept
  std::uint64_t reopened_ = 0;           // how many have been
  std::atomic<bool> has_kept_{false};    // some session has been kept: handles may differ from proxyd's
};

}  // namespace p11shim
