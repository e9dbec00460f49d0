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
  std::string unix_path = "/run/p11shim/proxyd.sock";  // empty: no unix socket (or the one that systemd passes)
  mode_t mode = 0660;
  std::string group;              // of the socket; empty: proxyd's own
  std::optional<TcpAddress> tcp;  // loopback only; port 0: any free one
  std::uint32_t backlog = 1024;   // connections that wait while proxyd restarts
  std::uint32_t max_connections = 20'000;
  std::uint32_t max_connections_per_user = 10'000;
  bool shared_memory = true;  // for the bulk data of applications on the unix socket
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
  std::uint32_t max_applications_per_user = 0;                   // 0: half of max_applications
  std::uint64_t max_buffered_per_user = std::uint64_t{1} << 30;  // messages under way, of all its connections
  std::uint32_t spin = 0;                                        // microseconds of looking before sleeping; 0: none
  bool courteous = true;                               // proxyd and workers do not interrupt those who wake them
  bool rings = true;                                   // small messages through shared memory, where that is possible
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
  std::uint32_t lanes = 8;            // of each worker; one if the module is not thread-safe
  std::uint32_t max_stuck_lanes = 4;  // set aside and replaced before the worker is recycled
  std::uint32_t sessions_ro = 8;      // real sessions of each worker that serve calls
  std::uint32_t sessions_rw = 8;
  std::uint32_t max_sessions = 256;  // of each kind, when unfinished operations occupy those
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
  CK_FLAGS flags = CKF_OS_LOCKING_OK;       // of CK_C_INITIALIZE_ARGS
  std::vector<CK_ATTRIBUTE_TYPE> counters;  // attributes that say that each use of a key is counted
  bool check_owner = true;                  // refuse files that others than root and proxyd can change
  std::vector<uid_t> allow_owner;           // more owners to trust

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
  std::uint32_t priority = 0;         // tier: the lowest is used first
  std::uint32_t max_concurrency = 0;  // calls of a pool at a time, those in the queue included; 0: no limit
  CK_MECHANISM_TYPE wrap_mechanism = CKM_AES_KEY_WRAP_PAD;  // of replication = "wrap"
  Environment environment;                                  // on top of the module's
};

inline constexpr std::size_t kMostMembers = 64;  // of one pool

enum class Strategy : std::uint8_t {
  least_latency,      // of two members picked at random, the one that would answer sooner
  least_outstanding,  // fewest calls under way
  round_robin,        // each in turn
  failover,           // the first that can
};

enum class Mechanisms : std::uint8_t {
  intersection,  // those that every member has
  union_of_all,  // those that any has
};

// When a member is given nothing more (ejected), and when it is tried again.
struct BreakerConfig {
  std::uint32_t failures = 5;      // in a row
  std::uint32_t percent = 50;      // of the calls of one window…
  std::uint32_t least_calls = 20;  // …if there were that many
  std::chrono::milliseconds window{10'000};
  std::chrono::milliseconds slow_call{0};      // a call that takes longer is a failure; 0: none is
  std::chrono::milliseconds open_min{1'000};   // doubled at each ejection that follows another…
  std::chrono::milliseconds open_max{60'000};  // …up to this

  friend bool operator==(const BreakerConfig&, const BreakerConfig&) = default;
};

// How many calls may be made again on another member.
struct RetryBudgetConfig {
  std::uint32_t percent = 20;     // of the calls of the last ten seconds
  std::uint32_t per_second = 10;  // and so many on top

  friend bool operator==(const RetryBudgetConfig&, const RetryBudgetConfig&) = default;
};

// Which objects that are made through a pool get copies on its other members.
enum class Replication : std::uint8_t {
  none,
  public_objects,  // public keys, certificates, data: they are made again
  wrap,            // keys as well, under a wrapping key
};

// Whether a call that takes longer than usual is made on a second member as well.
enum class Hedge : std::uint8_t {
  off,
  p95,  // when it takes longer than 95 % of such calls on that member did
};

// When an object is destroyed for the application.
enum class Destroy : std::uint8_t {
  journaled,  // when a member has done it; who cannot be reached does it later
  all,        // when every member has
};

enum class ProbeCall : std::uint8_t { none, token_info, random, sign };

struct ProbeConfig {
  ProbeCall call = ProbeCall::token_info;
  std::string key;  // label of the private key that signs
  std::chrono::milliseconds interval{2'000};
  std::chrono::milliseconds timeout{2'000};
  std::chrono::milliseconds hung{15'000};  // a worker that does not answer a probe for so long is started anew

  friend bool operator==(const ProbeConfig&, const ProbeConfig&) = default;
};

// How a pool of several members works.
struct BalanceConfig {
  Strategy strategy = Strategy::least_latency;
  Mechanisms mechanisms = Mechanisms::intersection;
  bool removable = false;                               // without a member that can serve the token is gone
  bool clones = false;                                  // the operator says that members hold the same keys
  std::chrono::milliseconds attempt_timeout{3'000};     // then a call that may be repeated goes to another member
  std::uint32_t max_attempts = 4;                       // of one call, the first included
  std::uint64_t replay_limit = std::uint64_t{1} << 20;  // input of one operation that is kept for another member
  BreakerConfig breaker;
  RetryBudgetConfig retry_budget;
  Hedge hedge = Hedge::off;
  ProbeConfig probe;
  Replication replication = Replication::none;
  std::string wrapping_key;  // its label
  bool replicate_nonextractable =
      false;                     // keys that are not to be extractable are made so that they can be copied once
  std::uint32_t min_copies = 1;  // with fewer a creation is undone
  Destroy destroy = Destroy::journaled;
};

// [[pool]]: what applications see as one token.
struct PoolConfig {
  std::string name;
  std::string label;  // at most 32 bytes
  std::vector<std::string> members;
  std::optional<std::uint32_t> slot;  // slot id; unset: proxyd gives one
  std::string serial;                 // these three: empty is the member's own; a pool of several has its own
  std::string manufacturer;
  std::string model;
  std::string looks_like;  // the member whose label and these are the pool's where they are not set; empty: none
  PoolAccess access;
  BalanceConfig balance;
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
