// What proxyd is told by its configuration file, as plain structs: a default that is written here is the
// default. schema.h gives every member its key; docs/configuration.md explains them to operators. Durations
// are milliseconds, sizes are bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calls/policy.h"
#include "config/log_level.h"
#include "config/problem.h"
#include "config/tcp_address.h"
#include "pkcs11/cryptoki.h"
#include "proxyd/config/access_list.h"
#include "wire/limits.h"

namespace p11shim {

using Environment = std::map<std::string, std::string>;

// [listen]: where applications connect.
struct ListenConfig {
  std::string unix_path =
      "/run/p11shim/proxyd.sock";  // empty: no unix socket (or the one that systemd passes)
  mode_t mode = 0660;
  std::string group;              // of the socket; empty: proxyd's own
  std::optional<TcpAddress> tcp;  // loopback only; port 0: any free one
  std::uint32_t backlog = 1024;   // connections that wait while proxyd restarts
  std::uint32_t max_connections = 20'000;
  std::uint32_t max_connections_per_user = 10'000;
};

// [control]: where shimctl connects.
struct ControlConfig {
  std::string unix_path = "/run/p11shim/control.sock";  // empty: none
  mode_t mode = 0660;
  std::string group;
};

// [state]: what must survive a restart (handle_key, aliases).
struct StateConfig {
  std::string directory = "/var/lib/p11shim";
};

// [limits]
struct LimitsConfig {
  std::uint64_t max_frame = limits::kMaxFrame;
  std::uint32_t max_sessions_per_application = 100'000;  // virtual ones
  std::uint32_t max_applications = 10'000;
  std::chrono::milliseconds deadline{30'000};          // of a call whose application sets none
  std::chrono::milliseconds keygen_deadline{300'000};  // of one that makes a key
};

enum class LogFormat : std::uint8_t { text, json };

// [log]
struct LogConfig {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  std::string file;  // empty: stderr
};

// [audit]
struct AuditConfig {
  bool enabled = false;
  std::string file = "/var/log/p11shim/audit.jsonl";  // empty: no file
  mode_t mode = 0640;
  std::uint64_t max_size = std::uint64_t{100} << 20;  // of the file before it is rotated
  std::uint32_t keep = 10;                            // rotated files
  bool journal = false;                               // also to the systemd journal
  std::vector<AuditClass> classes{AuditClass::admin, AuditClass::auth, AuditClass::use};
};

enum class Isolation : std::uint8_t {
  process,  // a worker process for each login domain
  shared,   // one worker for all of them
};

struct RestartBackoff {
  std::chrono::milliseconds min{100};
  std::chrono::milliseconds max{30'000};

  friend bool operator==(const RestartBackoff&, const RestartBackoff&) = default;
};

// How a member is run.
struct MemberOptions {
  std::uint32_t lanes = 4;            // of each worker; one if the module is not thread-safe
  std::uint32_t max_stuck_lanes = 4;  // set aside and replaced before the worker is recycled
  std::uint32_t sessions_ro = 8;      // real sessions of each worker that serve calls
  std::uint32_t sessions_rw = 8;
  std::uint32_t max_sessions = 256;   // of each kind, when unfinished operations occupy those
  Isolation isolation = Isolation::process;
  std::chrono::milliseconds pin_recheck{15 * 60'000};         // 0: always ask the HSM
  std::optional<std::chrono::milliseconds> max_call;          // caps the deadline of any call here
  RestartBackoff restart_backoff;                             // between restarts of a worker that dies
  std::chrono::milliseconds idle_worker_timeout{5 * 60'000};  // 0: idle workers stay
};

// Who may do what with a pool's token.
struct PoolAccess {
  AccessList admin = AccessList::nobody();  // SO sessions, C_InitToken, C_InitPIN
  AccessList allow = AccessList::everybody();
  bool set_pin = true;  // C_SetPIN by the user; false by default where a member logs in by itself
};

// [[module]]: one vendor library.
struct ModuleConfig {
  std::string name;
  std::string path;
  std::string library_parameters;  // NSS: LibraryParameters of its C_Initialize arguments
  Environment environment;         // of its workers
  std::string sha256;              // lower-case hexadecimal; empty: not checked
  bool thread_safe = true;
  CK_FLAGS flags = CKF_OS_LOCKING_OK;  // of CK_C_INITIALIZE_ARGS
  bool check_owner = true;             // refuse files that others than root and proxyd can change
  std::vector<uid_t> allow_owner;      // more owners to trust

  // tokens = "*": each of its tokens and uninitialised slots becomes a member and a pool of its own, of the
  // same label, by these options.
  bool every_token = false;
  MemberOptions token_options;
  PoolAccess token_access;
};

enum class LoginMode : std::uint8_t {
  client,  // applications log in with the token's PIN
  daemon,  // proxyd does; applications are known by identity
};

// [[member]]: one token of one module. Exactly one of token_label, token_serial and slot is set.
struct MemberConfig {
  std::string name;
  std::string module;
  std::string token_label;
  std::string token_serial;
  std::optional<std::uint64_t> slot;
  MemberOptions options;
  LoginMode login = LoginMode::client;
  // With daemon exactly one of them is set.
  std::string pin_file;
  std::string pin_credential;            // name of a systemd credential
  std::vector<std::string> pin_command;  // run without a shell; its first line of output
  std::uint32_t weight = 100;
  std::uint32_t priority = 0;  // tier: the lowest is used first
  Environment environment;     // on top of the module's
};

// [[pool]]: what applications see as one token.
struct PoolConfig {
  std::string name;
  std::string label;  // at most 32 bytes
  std::vector<std::string> members;
  std::optional<std::uint32_t> slot;  // slot id; unset: proxyd gives one
  std::string serial;                 // these three: empty is the member's own
  std::string manufacturer;
  std::string model;
  PoolAccess access;
};

struct Config {
  ListenConfig listen;
  ControlConfig control;
  StateConfig state;
  LimitsConfig limits;
  LogConfig log;
  AuditConfig audit;
  std::vector<ModuleConfig> modules;
  std::vector<MemberConfig> members;
  std::vector<PoolConfig> pools;

  // Where it was written: for later messages about the same file.
  std::string file;
  ConfigPlaces places;

  const ModuleConfig* find_module(std::string_view name) const;
  const MemberConfig* find_member(std::string_view name) const;
  const PoolConfig* find_pool(std::string_view name) const;
};

// The module's environment with the member's on top.
Environment worker_environment(const ModuleConfig& module, const MemberConfig& member);

}  // namespace p11shim
