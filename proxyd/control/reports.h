// What the control socket's commands answer, field by field: proxyd fills these structs, reports.cpp turns
// them into JSON, shimctl and the operator's scripts read that. A field that is added is no break; one that
// changes is.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace p11shim {

// One worker process: the login domain of one member.
struct WorkerReport {
  std::string domain;  // "public", "user", "so", "checking"
  std::int64_t pid = 0;
  std::string state;  // "starting", "ready", "draining", "backoff"
  std::uint32_t lanes = 0;
  std::uint32_t busy_lanes = 0;
  std::uint32_t stuck_lanes = 0;
  std::uint32_t real_sessions = 0;  // open in the module
  std::uint32_t restarts = 0;       // since proxyd started
  std::uint64_t queued = 0;         // calls waiting for a lane
  std::optional<std::uint64_t> memory_kib;
};

struct MemberReport {
  std::string pool;
  std::string member;
  std::string state;   // "up", "starting", "trial", "ejected", "down", "draining", "leaving", "maintenance"
  std::string reason;  // why it is not up; empty if it is
  std::string module;  // path
  std::string token;   // label
  std::string serial;
  std::vector<WorkerReport> workers;
};

struct PoolReport {
  std::string pool;
  std::uint64_t slot = 0;  // what applications see
  std::uint64_t virtual_sessions = 0;
  std::uint32_t logged_in_applications = 0;
};

// Calls are counted since the application connected.
struct ApplicationReport {
  std::string id;                              // instance id, hexadecimal
  std::optional<std::uint32_t> uid, gid, pid;  // none over TCP
  std::string program;
  std::uint32_t connections = 0;
  std::uint32_t virtual_sessions = 0;
  std::vector<std::string> logged_in;  // pools
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;
  double connected_seconds = 0;
  double idle_seconds = 0;
};

// {"command":"status"}
struct StatusReport {
  std::string version;
  std::int64_t pid = 0;
  std::string state;  // "ready", "draining"
  double uptime_seconds = 0;
  std::vector<std::string> endpoints;  // where applications connect
  std::vector<PoolReport> pools;
  std::vector<MemberReport> members;
  std::vector<ApplicationReport> applications;
  nlohmann::json audit;  // to_json(AuditHealth)
};

// {"command":"ping"} is proxyd itself.
struct PingReport {
  std::string version;
  std::int64_t pid = 0;
};

// {"command":"ping","arguments":{"pool":…,"member":…}}: one C_GetTokenInfo (or like) through a lane.
struct MemberPingReport {
  std::string pool;
  std::string member;
  std::uint64_t rv = 0;
  std::string rv_name;
  std::uint64_t queue_ns = 0;
  std::uint64_t hsm_ns = 0;
};

nlohmann::json to_json(const StatusReport& report);
nlohmann::json to_json(const PingReport& report);
nlohmann::json to_json(const MemberPingReport& report);

}  // namespace p11shim
