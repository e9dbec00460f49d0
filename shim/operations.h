// What the shim knows of the operations of a session, so that a C_…Init whose like has succeeded before need not
// travel alone: it is answered at once and goes with the call that uses it (Request::init).
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "calls/policy.h"
#include "pkcs11/cryptoki.h"
#include "wire/handles.h"

namespace p11shim {

[[nodiscard]] inline bool is_session_object(std::uint64_t handle) { return (handle & kSessionObjectBit) != 0; }

// A C_…Init that was answered with CKR_OK and has not been sent.
struct WaitingInit {
  std::uint32_t call = 0;  // 0: none
  Operation operation = Operation::none;
  CK_MECHANISM_TYPE mechanism = 0;
  std::vector<std::uint64_t> objects;  // its handles behind the session's
  Buffer body;
  std::uint64_t signature = 0;
  std::uint64_t generation = 0;  // of the slot (wire/generations.h), when it was answered
  bool is_over = false;  // of a message operation: it has been executed and ended, but the application has not ended it
  bool ends = false;     // taken along, the operation is to be ended by the same message

  [[nodiscard]] bool names_session_object() const;
  void swap(WaitingInit& other) noexcept;
  void clear();
};

struct SessionOperations {
  WaitingInit waiting;
  Operation active = Operation::none;    // in the module, as far as its answers tell
  Operation in_doubt = Operation::none;  // a call failed, or did what is not followed here: perhaps active
  bool is_fresh = false;                 // nothing but length queries since the Init
  std::uint64_t signature = 0;           // of the Init that began `active`
  Operation began = Operation::none;     // the one that began last
  CK_MECHANISM_TYPE mechanism = 0;       // its
  std::uint32_t gathers = 0;             // the C_…Update whose parts may be gathered; 0: none
  Buffer gathered;                       // parts that have not been sent
  Operation lost = Operation::none;      // its Init, sent late, failed:
  CK_RV lost_rv = CKR_OK;                // with this, which the operation's next call is told
  bool lost_is_over = false;             // it had been executed and ended before
  unsigned messages = 0;                 // calls of the message operation that began last
  // A search that came as one message is active for the application while has_found; its Init waits until it is sent.
  bool has_found = false;
  std::vector<std::uint64_t> found;  // from found_next on not handed out yet
  std::size_t found_next = 0;
  // One that found more than one message carries is active in proxyd as well; `found` is a page of it.
  bool in_pages = false;
  bool is_last_page = false;
  bool has_objects = false;  // session objects, which end with it
  bool is_sending = false;   // what waited is under way, on the connection of some thread

  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;  // whose these are
  // In the list of those that wait (KnownInits).
  bool is_listed = false;
  SessionOperations* before = nullptr;
  SessionOperations* behind = nullptr;

  // An Init other than a search's, or parts.
  [[nodiscard]] bool wait() const {
    return (waiting.call != 0 && waiting.operation != Operation::find) || !gathered.empty();
  }
};

// The Inits that have succeeded in this application, and the lengths that length queries gave for them, each as long as the
// slot's generation has not moved since before it was asked for. What is remembered is a hash: parameters may be secret.
class KnownInits {
 public:
  // After something of theirs began or ceased to wait: those that do are in a list, however many sessions there are.
  // They stay where they are while they wait.
  void list(SessionOperations& operations);
  // One of them, or CK_INVALID_HANDLE; with `only_session_objects`, one whose Init names a session object.
  [[nodiscard]] CK_SESSION_HANDLE waiting(bool only_session_objects) const;

  void add(std::uint64_t signature, std::uint64_t generation, bool names_session_object);
  void forget(std::uint64_t signature) { inits_.erase(signature); }
  void forget_session_objects();
  void forget_all();
  [[nodiscard]] bool contains(std::uint64_t signature, std::uint64_t generation) const;
  // Whether the last message operation that began with this Init was one message.
  void note_one_message(std::uint64_t signature, bool was_one);
  [[nodiscard]] bool is_one_message(std::uint64_t signature) const;
  // Moves whenever such an Init would be forgotten: one that was under way meanwhile proves nothing.
  [[nodiscard]] std::uint64_t epoch(bool names_session_object) const {
    return names_session_object ? epoch_ + session_objects_epoch_ : epoch_;
  }

  // Of a query that belongs to this Init; forgotten with it.
  void add_length(std::uint64_t query, std::uint64_t init, std::uint64_t generation, CK_ULONG length);
  [[nodiscard]] std::optional<CK_ULONG> length(std::uint64_t query, std::uint64_t generation) const;

 private:
  struct Known {
    std::uint64_t generation = 0;
    bool names_session_object = false;
    bool is_one_message = false;
  };
  SessionOperations* first_ = nullptr;              // that waits
  std::unordered_map<std::uint64_t, Known> inits_;  // by signature
  struct Length {
    std::uint64_t init = 0;
    std::uint64_t generation = 0;
    CK_ULONG length = 0;
  };
  std::unordered_map<std::uint64_t, Length> lengths_;
  std::uint64_t epoch_ = 0, session_objects_epoch_ = 0;
};

// What happens to the operations of one session. Each is told what a call did and keeps both records true.
// Lets an Init wait if its like is known and the session has nothing under way. `init` is swapped in.
bool defer(SessionOperations& operations, KnownInits& known, WaitingInit& init);
// Takes the waiting Init out, if it is one of `wanted`.
bool take_waiting(SessionOperations& operations, KnownInits& known, Operation wanted, WaitingInit& init);
void drop_waiting(SessionOperations& operations, KnownInits& known);
void drop_gathered(SessionOperations& operations, KnownInits& known);
// An Init was executed and succeeded.
void operation_began(SessionOperations& operations, Operation operation, CK_MECHANISM_TYPE mechanism,
                     std::uint64_t signature);
// A call that goes on with `operation`, or ends it, gave `rv`. `is_query`: it asked for a length.
void operation_went_on(SessionOperations& operations, Operation operation, Effect effect, CK_RV rv, bool is_query);
// The call before has also ended its message operation in the module. For the application it is active: the Init that the call
// brought along waits again.
void message_is_over(SessionOperations& operations, KnownInits& known, WaitingInit& init);
// The application ends its message operation. True: it is over in the module already.
bool end_messages(SessionOperations& operations, KnownInits& known, Operation operation);

// The mechanism hashes everything that it is given and looks at it no further, whatever the sizes of the parts.
bool hashes_all(CK_MECHANISM_TYPE mechanism);

// 64 bits that stand for a value; good against accidents, not against an application that means to fool itself.
class Signature {
 public:
  Signature& add(const void* bytes, std::size_t size);
  Signature& add(std::uint64_t value) { return add(&value, sizeof value); }
  // What is in it may differ.
  Signature& add_size(const void* buffer, std::uint64_t size) { return add(buffer != nullptr).add(size); }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 14695981039346656037ull;  // FNV-1a
};

// The module may take each message by itself: what C_…Message is given says everything, also the IV.
bool stands_alone(Operation operation, CK_MECHANISM_TYPE mechanism, const void* parameter, CK_ULONG size);
// Adds what, in the parameter of such a message, may decide how long its result is.
void sign_message_parameter(Signature& signature, CK_MECHANISM_TYPE mechanism, const void* parameter, CK_ULONG size);

// Adds what decides whether an Init with this mechanism succeeds: all of it (`encoded`) but the contents of an IV, nonce,
// AAD or label, whose lengths count.
void sign_mechanism(Signature& signature, const CK_MECHANISM& mechanism, std::span<const std::uint8_t> encoded);

}  // namespace p11shim
