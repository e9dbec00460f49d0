// What the control socket answers: fills the reports from what runs.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/daemon/daemon.h"
#include "proxyd/daemon/pool_sync.h"
#include "proxyd/daemon/version.h"
#include "wire/hex.h"

namespace p11shim {
namespace {

const char* state_name(Worker::State state) {
  switch (state) {
    case Worker::State::stopped: return "stopped";
    case Worker::State::starting: return "starting";
    case Worker::State::ready: return "ready";
    case Worker::State::pausing:
    case Worker::State::backoff: return "backoff";
  }
  return "?";
}

WorkerReport worker_report(const char* domain, const Worker& worker, std::size_t real_sessions) {
  WorkerReport report;
  report.domain = domain;
  report.pid = worker.pid();
  report.state = state_name(worker.state());
  report.lanes = worker.spec().options.lanes;
  report.busy_lanes = worker.busy_lanes();
  report.stuck_lanes = worker.stuck_lanes();
  report.real_sessions = static_cast<std::uint32_t>(real_sessions);
  report.restarts = worker.restarts();
  report.queued = worker.queued();
  return report;
}

std::size_t open_sessions(const Place& place) { return place.read_only.open_count() + place.read_write.open_count(); }

MemberReport member_report(const std::string& pool, Member& member) {
  MemberReport report;
  report.pool = pool;
  report.member = member.name();
  report.module = member.backend().spec().module.path;
  const Worker& public_worker = member.backend().worker();
  report.state = public_worker.state() == Worker::State::ready     ? "up"
                 : public_worker.state() == Worker::State::backoff ? "down"
                                                                   : "starting";
  if (report.state != "up") report.reason = public_worker.failure().reason;
  if (const SlotEntry* entry = member.entry(); entry != nullptr && entry->token_rv == CKR_OK) {
    report.token = unpadded(entry->token.label);
    report.serial = unpadded(entry->token.serialNumber);
  }
  report.workers.push_back(worker_report("public", public_worker, open_sessions(member.public_place())));
  const auto add = [&](const char* name, LoginDomain& domain) {
    if (domain.worker().state() != Worker::State::stopped || domain.worker().restarts() != 0)
      report.workers.push_back(worker_report(name, domain.worker(), open_sessions(domain.place())));
    if (domain.checking_worker().state() != Worker::State::stopped)
      report.workers.push_back(worker_report("checking", domain.checking_worker(), 1));
    if (domain.applications() != 0 && !domain.can_restart())
      report.reason = "its worker could not be logged in again by itself: no PIN is kept";
  };
  add("user", member.user());
  add("so", member.so());
  return report;
}

ApplicationReport application_report(const Application& application, std::uint64_t now_ms) {
  ApplicationReport report;
  report.id = hex_digits(application.instance);
  if (const auto& peer = application.peer) {
    report.uid = peer->uid;
    report.gid = peer->gid;
    report.pid = static_cast<std::uint32_t>(peer->pid);
  }
  report.program = application.program;
  report.connections = application.connections;
  report.virtual_sessions = static_cast<std::uint32_t>(application.sessions.size());
  for (const auto& [pool, state] : application.tokens)
    if (state.login != LoginState::none) report.logged_in.push_back(pool->config.name);
  report.calls = application.calls;
  report.failed = application.failed;
  report.connected_seconds = static_cast<double>(now_ms - application.connected_ms) / 1000;
  report.idle_seconds = static_cast<double>(now_ms - application.last_call_ms) / 1000;
  return report;
}

}  // namespace

MemberReport pool_member_report(const Pool& pool, Membership& membership) {
  MemberReport report = member_report(pool.config.name, membership.member);
  if (!pool.balanced()) return report;
  const Pool::Operational health = pool.health_of(membership);
  report.state = health.state;
  if (!health.reason.empty()) report.reason = health.reason;
  switch (membership.health.wanted) {
    case Wanted::ready: break;
    case Wanted::drain: report.state = "draining"; break;
    case Wanted::removed: report.state = "leaving"; break;
    case Wanted::maint: report.state = "maintenance"; break;
  }
  return report;
}

ControlHandlers Daemon::control_handlers() {
  ControlHandlers handlers;
  handlers["status"] = [this](const nlohmann::json&, ControlReply reply) { reply.ok(to_json(status())); };
  handlers["stats"] = [this](const nlohmann::json& arguments, ControlReply reply) {
    const bool raw = arguments.value("raw", false);
    reply.ok(registry_.snapshot(raw ? Registry::Detail::kRaw : Registry::Detail::kSummary));
  };
  handlers["pools"] = [this](const nlohmann::json&, ControlReply reply) { reply.ok(pools_json()); };
  handlers["member"] = [this](const nlohmann::json& arguments, ControlReply reply) { change_member(arguments, reply); };
  handlers["pool-diff"] = [this](const nlohmann::json& arguments, const ControlReply& reply) {
    diff_pool(arguments, reply);
  };
  handlers["pool-sync"] = [this](const nlohmann::json& arguments, const ControlReply& reply) {
    sync_pool(catalog_, arguments, reply);
  };
  handlers["ping"] = [this](const nlohmann::json& arguments, ControlReply reply) {
    ping_member(arguments, std::move(reply));
  };
  return handlers;
}

StatusReport Daemon::status() const {
  StatusReport report;
  report.version = kVersion;
  report.pid = ::getpid();
  report.state = stopping_ ? "draining" : "ready";
  const std::uint64_t now = runtime_.now_ms();
  report.uptime_seconds = static_cast<double>(now - started_ms_) / 1000;
  report.endpoints = listener_.endpoints();
  for (const auto& pool : catalog_.pools()) {
    PoolReport entry;
    entry.pool = pool->config.name;
    entry.slot = pool->slot;
    entry.virtual_sessions = pool->sessions;
    for (const auto& [id, application] : applications_.all()) {
      const auto state = application->tokens.find(pool.get());
      entry.logged_in_applications += state != application->tokens.end() && state->second.login != LoginState::none;
    }
    report.pools.push_back(entry);
    for (const auto& each : pool->members) report.members.push_back(pool_member_report(*pool, *each));
  }
  for (const auto& [id, application] : applications_.all())
    report.applications.push_back(application_report(*application, now));
  report.audit = to_json(audit_.health());
  return report;
}

std::string Daemon::pool_of(const Member& member) const {
  for (const auto& pool : catalog_.pools())
    if (pool->has(member)) return pool->config.name;
  return {};
}

// One C_GetTokenInfo through a lane of the member's public worker; without a member proxyd itself answers.
void Daemon::ping_member(const nlohmann::json& arguments, ControlReply reply) {
  const std::string wanted = arguments.value("member", "");
  if (wanted.empty()) return reply.ok(to_json(PingReport{kVersion, ::getpid()}));
  const std::string in_pool = arguments.value("pool", "");  // a member may be in several
  for (const auto& owned : catalog_.members()) {
    Member& member = *owned;
    if (member.name() != wanted || pool_of(member).empty() || (!in_pool.empty() && pool_of(member) != in_pool))
      continue;
    Worker& worker = member.backend().worker();
    if (worker.state() != Worker::State::ready)
      return reply.fail({"member_not_up",
                         "member " + wanted + " has no worker that is ready: " + state_name(worker.state()),
                         "shimctl status says why"});
    const std::uint64_t slot = member.slot_in(worker);
    const std::uint64_t start = uv_hrtime();
    OwnCall::start(worker, number_of<&CK_FUNCTION_LIST_3_0::C_GetTokenInfo>(), {&slot, 1}, {},
                   [reply, start, name = pool_of(member), wanted](Reply* answer) {
                     MemberPingReport report{name, wanted, CKR_DEVICE_ERROR, "", 0, 0};
                     if (answer != nullptr) {
                       report.rv = answer->rv;
                       report.hsm_ns = std::uint64_t{answer->hsm_us} * 1000;
                       report.queue_ns = uv_hrtime() - start - std::min(report.hsm_ns, uv_hrtime() - start);
                     }
                     report.rv_name = display(NameKind::ckr, report.rv);
                     reply.ok(to_json(report));
                   });
    return;
  }
  reply.fail({"not_found", "there is no member " + wanted + (in_pool.empty() ? "" : " in pool " + in_pool),
              "shimctl status lists the members"});
}

}  // namespace p11shim
