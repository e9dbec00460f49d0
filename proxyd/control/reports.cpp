#include "proxyd/control/reports.h"

namespace p11shim {

namespace {

using nlohmann::json;

template <class Value>
json or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json();
}

json to_json(const WorkerReport& report);
json to_json(const MemberReport& report);
json to_json(const PoolReport& report);
json to_json(const ApplicationReport& report);

template <class Report>
json array_of(const std::vector<Report>& reports) {
  auto array = json::array();
  for (const auto& report : reports) array.push_back(to_json(report));
  return array;
}

json to_json(const WorkerReport& report) {
  return {{"domain", report.domain},
          {"pid", report.pid},
          {"state", report.state},
          {"lanes", report.lanes},
          {"busy_lanes", report.busy_lanes},
          {"stuck_lanes", report.stuck_lanes},
          {"real_sessions", report.real_sessions},
          {"restarts", report.restarts},
          {"queued", report.queued},
          {"memory_kib", or_null(report.memory_kib)}};
}

json to_json(const MemberReport& report) {
  return {{"pool", report.pool},     {"member", report.member},
          {"state", report.state},   {"reason", report.reason},
          {"module", report.module}, {"token", report.token},
          {"serial", report.serial}, {"workers", array_of(report.workers)}};
}

json to_json(const PoolReport& report) {
  return {{"pool", report.pool},
          {"slot", report.slot},
          {"virtual_sessions", report.virtual_sessions},
          {"logged_in_applications", report.logged_in_applications}};
}

json to_json(const ApplicationReport& report) {
  return {{"id", report.id},
          {"uid", or_null(report.uid)},
          {"gid", or_null(report.gid)},
          {"pid", or_null(report.pid)},
          {"program", report.program},
          {"connections", report.connections},
          {"virtual_sessions", report.virtual_sessions},
          {"logged_in", report.logged_in},
          {"calls", report.calls},
          {"failed", report.failed},
          {"connected_seconds", report.connected_seconds},
          {"idle_seconds", report.idle_seconds}};
}

}  // namespace

json to_json(const StatusReport& report) {
  return {{"version", report.version},
          {"pid", report.pid},
          {"state", report.state},
          {"uptime_seconds", report.uptime_seconds},
          {"endpoints", report.endpoints},
          {"pools", array_of(report.pools)},
          {"members", array_of(report.members)},
          {"applications", array_of(report.applications)},
          {"audit", report.audit}};
}

json to_json(const PingReport& report) { return {{"version", report.version}, {"pid", report.pid}}; }

json to_json(const MemberPingReport& report) {
  return {{"pool", report.pool},       {"member", report.member},     {"rv", report.rv},
          {"rv_name", report.rv_name}, {"queue_ns", report.queue_ns}, {"hsm_ns", report.hsm_ns}};
}

}  // namespace p11shim
