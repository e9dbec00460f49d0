// One application: one C_Initialize in one process. Owns its virtual sessions, its login state and its session objects;
// nothing of it is visible to another. Lives while it has a connection, and a moment longer if its process lives.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "proxyd/applications/linger.h"
#include "proxyd/applications/virtual_session.h"
#include "proxyd/control/peer.h"
#include "proxyd/stats/registry.h"
#include "wire/message.h"

namespace p11shim {

enum class LoginState : std::uint8_t { none, user, so };

// What an application is to one token.
struct TokenState {
  LoginState login = LoginState::none;
  std::uint32_t sessions = 0;
  std::uint32_t read_write_sessions = 0;
  std::unordered_set<std::uint64_t> private_handles;  // issued since the login
  std::uint64_t logins_ended = 0;                     // a call that was under way meanwhile cleans up after itself
};

class Application {
 public:
  Application(const Id128& instance_id, const Id128& secret_id, std::optional<Peer> its_peer, std::string its_program)
      : instance(instance_id), secret(secret_id), peer(std::move(its_peer)), program(std::move(its_program)) {}
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  const Id128 instance;
  const Id128 secret;
  const std::optional<Peer> peer;  // of its first connection; none over TCP
  const std::string program;
  ClientId client{};
  std::uint32_t connections = 0;
  bool ends_for_good = false;      // with its last connection: one of them said goodbye
  std::unique_ptr<Linger> linger;  // while it has none but may come back
  std::uint64_t left = 0;          // when it lost the last one, counted in such losses
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;
  std::uint64_t connected_ms = 0;
  std::uint64_t last_call_ms = 0;

  [[nodiscard]] VirtualSession* session(std::uint64_t handle) {
    const auto found = sessions.find(handle);
    return found == sessions.end() ? nullptr : found->second.get();
  }
  TokenState& token(const Pool& pool) { return tokens[&pool]; }
  // It would lose something by ending.
  [[nodiscard]] bool has_state() const { return !sessions.empty(); }
  [[nodiscard]] bool selected_by(const AccessList& list) const;
  // Where its calls on this token run by default.
  Place& place(Pool& pool);

  std::unordered_map<std::uint64_t, std::unique_ptr<VirtualSession>> sessions;
  std::unordered_map<const Pool*, TokenState> tokens;
  std::unordered_map<std::uint64_t, std::shared_ptr<SessionObject>> session_objects;  // by virtual handle
  std::unordered_map<const WorkerObjects*, std::size_t> session_objects_in;           // how many of them; never 0
  std::deque<Identity> saved_states;  // keyed hashes of the states that C_GetOperationState gave it, the latest ones
  bool slots_listed = false;          // it has asked for the slots since it started
  std::shared_ptr<std::uint64_t> buffered;  // what its user has proxyd keep, in bytes; null: nobody counts it
  std::uint64_t next_session = 1;
  std::uint64_t next_session_object = 1;
};

}  // namespace p11shim
