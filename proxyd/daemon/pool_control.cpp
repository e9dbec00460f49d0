// {"command":"pools"}, {"command":"pool-diff"} and {"command":"member"}: what pools of several members do, and what the
// operator wants of a member.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

#include "proxyd/config/check.h"
#include "proxyd/config/load.h"
#include "proxyd/daemon/daemon.h"
#include "proxyd/daemon/pool_diff.h"

namespace p11shim {
namespace {

using nlohmann::json;

constexpr char kMaintenance[] = "maintenance";

const char* text(Strategy strategy) {
  switch (strategy) {
    case Strategy::least_latency: return "least-latency";
    case Strategy::least_outstanding: return "least-outstanding";
    case Strategy::round_robin: return "round-robin";
    case Strategy::failover: return "failover";
  }
  return "?";
}

std::string text(std::chrono::system_clock::time_point at) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char buffer[64];
  const std::size_t length = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(buffer + length, sizeof buffer - length, ".%03dZ", static_cast<int>(ms % 1000));
  return buffer;
}

json condition_json(const Condition& condition) {
  return {{"state", condition.state}, {"since", text(condition.since)}, {"reason", condition.reason}};
}

json member_json(Pool& pool, Membership& membership, std::uint64_t now_ms) {
  const MemberReport report = pool_member_report(pool, membership);
  const History& history = membership.history;
  // Between two looks its health may have changed.
  const Pool::Operational health = pool.health_of(membership);
  json operational = condition_json(history.operational());
  operational["state"] = health.state;
  operational["reason"] = health.reason;
  auto transitions = json::array();
  for (const Transition& each : history.transitions())
    transitions.push_back({{"at", text(each.at)},
                           {"kind", each.by_operator ? "administrative" : "operational"},
                           {"from", each.from},
                           {"to", each.to},
                           {"reason", each.reason}});
  const SlotEntry* entry = membership.member.entry();
  const bool seen = entry != nullptr && entry->token_rv == CKR_OK;
  const auto version = [](const CK_VERSION& v) { return std::to_string(v.major) + "." + std::to_string(v.minor); };
  return {{"pool", pool.config.name},
          {"member", report.member},
          {"state", report.state},
          {"operational", std::move(operational)},
          {"administrative", condition_json(history.administrative())},
          {"weight", membership.weight},
          {"priority", membership.member.config().priority},
          {"max_concurrency", membership.member.config().max_concurrency},
          {"outstanding", membership.health.outstanding},
          {"empties", membership.empties},
          {"cost_ms", membership.health.cost(now_ms)},
          {"logged_in", membership.logged_in},
          {"ejections", membership.health.breaker.ejections()},
          {"only_here", pool.only_on(membership).size()},
          {"module", report.module},
          {"token", report.token},
          {"serial", report.serial},
          {"firmware", seen ? json(version(entry->token.firmwareVersion)) : json()},
          {"transitions", std::move(transitions)}};
}

// The first thing of this machine that is not as the configuration needs it; empty: nothing.
std::string machine_error(const Config& config) {
  for (const ConfigProblem& problem : check_machine(config))
    if (problem.severity == ConfigProblem::Severity::error) return to_string(problem);
  return {};
}

}  // namespace

json Daemon::pools_json() {
  auto pools = json::array();
  for (const auto& pool : catalog_.pools()) {
    auto members = json::array();
    for (const auto& each : pool->members) members.push_back(member_json(*pool, *each, runtime_.now_ms()));
    pools.push_back({{"pool", pool->config.name},
                     {"slot", pool->slot},
                     {"label", pool->config.label},
                     {"strategy", pool->balanced() ? json(text(pool->config.balance.strategy)) : json()},
                     {"virtual_sessions", pool->sessions},
                     {"logged_in_applications", pool->login.applications()},
                     {"objects", pool->objects.size()},
                     {"problems", pool->problems()},
                     {"members", std::move(members)}});
  }
  return {{"pools", std::move(pools)}};
}

Pool* Daemon::pool_named(const json& arguments, const ControlReply& reply) {
  const std::string name = arguments.value("pool", "");
  for (const auto& pool : catalog_.pools())
    if (pool->config.name == name) return pool.get();
  reply.fail({"not_found", "there is no pool " + name, "shimctl pool list shows the pools"});
  return nullptr;
}

void Daemon::diff_pool(const json& arguments, const ControlReply& reply) {
  Pool* pool = pool_named(arguments, reply);
  if (pool == nullptr) return;
  if (!pool->balanced())
    return reply.fail(
        {"single_member", "pool " + pool->config.name + " has one member", "there is nothing to compare"});
  PoolDiff::run(*pool, [reply](json result) { reply.ok(std::move(result)); });
}

void Daemon::change_member(const json& arguments, const ControlReply& reply) {
  const std::string name = arguments.value("member", "");
  const std::string wanted_pool = arguments.value("pool", "");
  const std::string action = arguments.value("action", "");
  if (action == "add") return add_member(arguments, reply);
  Pool* pool = nullptr;
  Membership* found = nullptr;
  for (const auto& each_pool : catalog_.pools())
    for (const auto& each : each_pool->members) {
      if (each->member.name() != name || (!wanted_pool.empty() && each_pool->config.name != wanted_pool)) continue;
      if (found != nullptr)
        return reply.fail({"ambiguous_member", "member " + name + " is in several pools", "say which: POOL/MEMBER"});
      found = each.get();
      pool = each_pool.get();
    }
  if (found == nullptr)
    return reply.fail({"unknown_member", "there is no member " + name, "shimctl pool list shows the members"});
  if (!pool->balanced())
    return reply.fail({"single_member", "member " + name + " is the only one of pool " + pool->config.name,
                       "nothing else could do its work"});
  Health& health = found->health;
  const std::string reason = arguments.value("reason", "");
  if (action == "drain") {
    pool->set_wanted(*found, Wanted::drain, reason);
    found->empties = false;
  } else if (action == "maint") {
    pool->set_wanted(*found, Wanted::maint, reason);
    found->empties = true;
    if (arguments.value("now", false)) Pool::stop_workers(*found, kMaintenance);
    else let_members_go();
  } else if (action == "ready") {
    pool->set_wanted(*found, Wanted::ready, reason);
    found->empties = false;
    health.breaker.reset();
    pool->login.clear_quarantine(*found);
    pool->debts.accept_returned(*found);
  } else if (action == "reset-breaker") {
    health.breaker.reset();
  } else if (action == "weight") {
    const auto weight = arguments.value("weight", std::int64_t{0});
    if (weight < 1 || weight > 10'000) return reply.fail({"bad_weight", "the weight must be from 1 to 10000", ""});
    pool->set_weight(*found, static_cast<std::uint32_t>(weight));
  } else if (action == "remove") {
    const auto alone = pool->only_on(*found);
    if (!alone.empty() && !arguments.value("force", false))
      return reply.fail({"only_copy",
                         "member " + name + " alone holds " + std::to_string(alone.size()) + " objects, the first \"" +
                             alone.front()->label + "\"",
                         "copy them to other members first (shimctl pool diff names them), or --force"});
    const auto staying = std::count_if(pool->members.begin(), pool->members.end(),
                                       [](const auto& each) { return each->health.wanted != Wanted::removed; });
    if (staying <= 2 && health.wanted != Wanted::removed)
      return reply.fail({"too_few_members", "pool " + pool->config.name + " needs two members",
                         "drain it instead, or change the configuration and restart proxyd"});
    pool->set_wanted(*found, Wanted::removed, reason);
  } else {
    return reply.fail({"unknown_action", "a member cannot \"" + action + "\"",
                       "drain, maint, ready, weight, reset-breaker, add or remove"});
  }
  log_.info("pool {}: member {}: the operator says {}{}{}{}", pool->config.name, name, action,
            action == "weight" ? " " + std::to_string(found->weight) : "", reason.empty() ? "" : ": ", reason);
  pool->changed.resume_all();
  reply.ok(member_json(*pool, *found, runtime_.now_ms()));
}

// The configuration file is the truth: what it says of this member is done now, nothing else.
void Daemon::add_member(const json& arguments, const ControlReply& reply) {
  Pool* pool = pool_named(arguments, reply);
  if (pool == nullptr) return;
  const std::string name = arguments.value("member", "");
  const std::string file = config_.file;
  for (const auto& each : pool->members)
    if (each->member.name() == name && each->health.wanted != Wanted::removed)
      return reply.fail({"already_member", "member " + name + " is in pool " + pool->config.name, ""});
  if (!pool->balanced())
    return reply.fail({"single_member", "pool " + pool->config.name + " has one member and serves it as it is",
                       "restart proxyd: it becomes a pool of several"});
  auto read = load_config_file(file);
  if (!read) {
    const std::string why = read.problems.empty() ? "" : ": " + to_string(read.problems.front());
    return reply.fail({"bad_configuration", "the configuration has errors" + why, "proxyd --check --config " + file});
  }
  const PoolConfig* described = read->find_pool(pool->config.name);
  if (described == nullptr || !std::ranges::count(described->members, name))
    return reply.fail({"not_configured", "pool " + pool->config.name + " has no member " + name + " in " + file,
                       "describe it there, at the end of \"members\", then say this again"});
  if (const std::string error = machine_error(*read); !error.empty())
    return reply.fail({"bad_configuration", error, "proxyd --check --config " + file});
  Membership* added = take_member(*pool, *read, name);
  if (added == nullptr)
    return reply.fail(
        {"too_many_members",
         "pool " + pool->config.name + " has had " + std::to_string(kMostMembers) + " members since proxyd started",
         "restart proxyd"});
  reply.ok(member_json(*pool, *added, runtime_.now_ms()));
}

// Null: there is no room for it until proxyd restarts.
Membership* Daemon::take_member(Pool& pool, const Config& described, const std::string& name) {
  for (const auto& each : pool.members)
    if (each->member.name() == name) {  // it was leaving
      pool.set_wanted(*each, Wanted::ready, "added again");
      return each.get();
    }
  if (pool.enrolled() >= kMostMembers) return nullptr;
  Member& made = catalog_.add_configured(described, name);
  load_own_pin(made);
  generations_.moved(pool.slot);
  Membership& added = pool.add_member(made);
  added.statistics = registry_.member(pool.config.name, name);
  const MemberConfig& member = *described.find_member(name);
  if (config_.find_member(name) == nullptr) config_.members.push_back(member);
  if (config_.find_module(member.module) == nullptr) config_.modules.push_back(*described.find_module(member.module));
  for (PoolConfig& each : config_.pools)
    if (each.name == pool.config.name && !std::ranges::count(each.members, name)) each.members.push_back(name);
  log_.info("pool {}: member {} is added", pool.config.name, name);
  return &added;
}

// Nothing needs it any more: no call, no operation that has begun, no session object. Operations and session objects are waited for
// as long as a call may take, calls as long as one may that makes a key.
bool Daemon::may_go(const Membership& membership) const {
  const auto waited = std::chrono::system_clock::now() - membership.history.administrative().since;
  if (waited > config_.limits.keygen_deadline) return true;
  if (membership.health.outstanding != 0 || membership.creations.any()) return false;
  for (const Place* place : membership.member.places())
    if (!place->worker.idle()) return false;
  return waited > config_.limits.deadline || !applications_.needs(membership.member);
}

// Those that are to leave, or to be maintained.
void Daemon::let_members_go() {
  for (const auto& pool : catalog_.pools()) {
    for (std::size_t i = pool->members.size(); i-- > 0;) {
      Membership& each = *pool->members[i];
      const bool leaves = each.health.wanted == Wanted::removed;
      if ((!leaves && !each.empties) || !may_go(each)) continue;
      if (!leaves) {
        Pool::stop_workers(each, kMaintenance);
        continue;
      }
      for (PoolConfig& config : config_.pools)
        if (config.name == pool->config.name) std::erase(config.members, each.member.name());
      pool->retire(each);
      generations_.moved(pool->slot);
    }
  }
}

// As the configuration that was read again has them.
void Daemon::follow_members(const Config& described) {
  for (const auto& pool : catalog_.pools()) {
    const PoolConfig* wanted = described.find_pool(pool->config.name);
    if (wanted == nullptr || !pool->balanced() || wanted->members.size() < 2) continue;
    for (const std::string& name : wanted->members) {
      const auto is_it = [&](const auto& each) {
        return each->member.name() == name && each->health.wanted != Wanted::removed;
      };
      if (std::ranges::any_of(pool->members, is_it)) continue;
      try {
        if (const std::string error = machine_error(described); !error.empty()) throw std::runtime_error(error);
        if (take_member(*pool, described, name) == nullptr)
          log_.error("pool {}: there is no room for member {} until proxyd restarts", pool->config.name, name);
      } catch (const std::exception& error) {
        log_.error("pool {}: member {} is not added: {}", pool->config.name, name, error.what());
      }
    }
    for (const auto& each : pool->members) {
      if (std::ranges::count(wanted->members, each->member.name()) || each->health.wanted == Wanted::removed) continue;
      if (const auto alone = pool->only_on(*each); !alone.empty())
        log_.warn("pool {}: member {} leaves and alone holds {} objects", pool->config.name, each->member.name(),
                  alone.size());
      pool->set_wanted(*each, Wanted::removed, "the configuration has it no more");
    }
  }
}

}  // namespace p11shim
