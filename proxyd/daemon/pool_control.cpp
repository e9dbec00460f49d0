// {"command":"pools"} and {"command":"member"}: what pools of several members do, and what the operator wants of a member.
#include <spdlog/spdlog.h>

#include "proxyd/daemon/daemon.h"

namespace p11shim {
namespace {

using nlohmann::json;

const char* text(Wanted wanted) {
  switch (wanted) {
    case Wanted::ready: return "ready";
    case Wanted::drain: return "drain";
    case Wanted::maint: return "maint";
  }
  return "?";
}

json member_json(const Pool& pool, Membership& membership, std::uint64_t now_ms) {
  const MemberReport report = pool_member_report(pool, membership);
  const Breaker& breaker = membership.health.breaker;
  return {{"member", report.member},
          {"state", report.state},
          {"reason", report.reason},
          {"wanted", text(membership.health.wanted)},
          {"wanted_seconds", static_cast<double>(now_ms - membership.wanted_ms) / 1000},
          {"weight", membership.weight},
          {"priority", membership.member.config().priority},
          {"outstanding", membership.health.outstanding},
          {"cost_ms", membership.health.cost(now_ms)},
          {"logged_in", membership.logged_in},
          {"ejections", breaker.ejections()},
          {"breaker_seconds", breaker.changed_ms() == 0 ? json() : json(static_cast<double>(now_ms - breaker.changed_ms()) / 1000)}};
}

}  // namespace

json Daemon::pools_json() const {
  auto pools = json::array();
  for (const auto& pool : catalog_.pools()) {
    auto members = json::array();
    for (const auto& each : pool->members) members.push_back(member_json(*pool, *each, runtime_.now_ms()));
    pools.push_back({{"pool", pool->config.name}, {"slot", pool->slot}, {"label", pool->config.label}, {"virtual_sessions", pool->sessions},
                     {"logged_in_applications", pool->login.applications()}, {"objects", pool->objects.size()}, {"members", std::move(members)}});
  }
  return {{"pools", std::move(pools)}};
}

void Daemon::change_member(const json& arguments, ControlReply reply) {
  const std::string name = arguments.value("member", "");
  const std::string wanted_pool = arguments.value("pool", "");
  const std::string action = arguments.value("action", "");
  Pool* pool = nullptr;
  Membership* found = nullptr;
  for (const auto& each_pool : catalog_.pools())
    for (const auto& each : each_pool->members) {
      if (each->member.name() != name || (!wanted_pool.empty() && each_pool->config.name != wanted_pool)) continue;
      if (found != nullptr) return reply.fail({"ambiguous_member", "member " + name + " is in several pools", "say which with --pool"});
      found = each.get();
      pool = each_pool.get();
    }
  if (found == nullptr) return reply.fail({"unknown_member", "there is no member " + name, "shimctl pool list shows the members"});
  if (!pool->balanced())
    return reply.fail({"single_member", "member " + name + " is the only one of pool " + pool->config.name, "nothing else could do its work"});
  Health& health = found->health;
  const auto want = [&](Wanted wanted) {
    health.wanted = wanted;
    found->wanted_ms = runtime_.now_ms();
  };
  if (action == "drain") {
    want(Wanted::drain);
  } else if (action == "maint") {
    want(Wanted::maint);
    // What runs there goes on elsewhere, as if the worker had died.
    for (Worker* worker : {&found->member.user().worker(), &found->member.backend().worker()}) worker->stop("maintenance");
  } else if (action == "ready") {
    want(Wanted::ready);
    health.breaker.reset();
    pool->login.clear_quarantine(*found);
  } else if (action == "reset-breaker") {
    health.breaker.reset();
  } else if (action == "weight") {
    const auto weight = arguments.value("weight", std::int64_t{0});
    if (weight < 1 || weight > 10'000) return reply.fail({"bad_weight", "the weight must be from 1 to 10000", ""});
    found->weight = static_cast<std::uint32_t>(weight);
  } else {
    return reply.fail({"unknown_action", "a member cannot \"" + action + "\"", "drain, maint, ready, weight or reset-breaker"});
  }
  log_.info("pool {}: member {}: the operator says {}{}", pool->config.name, name, action,
            action == "weight" ? " " + std::to_string(found->weight) : "");
  pool->changed.resume_all();
  reply.ok(member_json(*pool, *found, runtime_.now_ms()));
}

}  // namespace p11shim
