#include "proxyd/config/reload.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "proxyd/config/schema.h"

namespace p11shim {
namespace {

class Comparison {
 public:
  explicit Comparison(ReloadPlan& plan) : plan_(plan) {}

  // `result` starts as a copy of `running`.
  template <class Struct, class Fields>
  void fields(const std::string& title, Struct& result, const Struct& wanted, const Fields& fields) {
    for_each_field(fields, [&](const auto& field) {
      auto& setting = result.*field.member;
      const auto& wish = wanted.*field.member;
      if (setting == wish) return;
      (field.is_live ? plan_.live : plan_.restart).push_back(sentence(title, field, result, wanted));
      if (field.is_live) setting = wish;
    });
  }

  // Pools of several take members in and let them go while they serve.
  void members(const std::string& title, PoolConfig& result, const PoolConfig& wanted) {
    if (result.members.size() < 2 || wanted.members.size() < 2) return;
    for (const std::string& name : wanted.members)
      if (!has(result.members, name)) plan_.live.push_back(title + ": member " + in_quotes(name) + " is added.");
    for (const std::string& name : result.members)
      if (!has(wanted.members, name)) plan_.live.push_back(title + ": member " + in_quotes(name) + " leaves.");
    if (std::set(result.members.begin(), result.members.end()) !=
        std::set(wanted.members.begin(), wanted.members.end()))
      result.members = wanted.members;
  }

  // Elements of `result` and `wanted` in pairs of one name; what has no counterpart needs a restart, or is live because
  // members() spoke of it.
  template <class Named, class IsLive, class ComparePair>
  void named(std::string_view section, std::vector<Named>& result, const std::vector<Named>& wanted, IsLive is_live,
             ComparePair compare_pair) {
    for (Named& each : result) {
      const std::string title = "[[" + std::string(section) + "]] " + in_quotes(each.name);
      const Named* wish = find(wanted, each.name);
      if (wish) {
        compare_pair(title, each, *wish);
      } else if (!is_live(each.name)) {
        plan_.restart.push_back(title + " is gone: it is served until proxyd restarts.");
      }
    }
    for (const Named& wish : wanted) {
      if (find(result, wish.name) || is_live(wish.name)) continue;
      plan_.restart.push_back("[[" + std::string(section) + "]] " + in_quotes(wish.name) +
                              " is new: it is served when proxyd has restarted.");
    }
  }

 private:
  static bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  template <class Named>
  static const Named* find(const std::vector<Named>& list, std::string_view name) {
    for (const Named& each : list) {
      if (each.name == name) return &each;
    }
    return nullptr;
  }

  template <class Field, class Struct>
  static std::string sentence(const std::string& title, const Field& field, const Struct& from, const Struct& to) {
    const std::string before = show_field(field, from), after = show_field(field, to);
    std::string text = title + ' ' + std::string(field.name) + " changes";
    if (before != after) text += " from " + before + " to " + after;  // some values are never shown
    return text + (field.is_live ? "." : " when proxyd restarts.");
  }

  ReloadPlan& plan_;
};

}  // namespace

ReloadPlan compare(const Config& running, const Config& wanted) {
  ReloadPlan plan;
  Config result = running;
  Comparison comparison(plan);
  comparison.fields("[listen]", result.listen, wanted.listen, schema::kListen);
  comparison.fields("[control]", result.control, wanted.control, schema::kControl);
  comparison.fields("[state]", result.state, wanted.state, schema::kState);
  comparison.fields("[limits]", result.limits, wanted.limits, schema::kLimits);
  comparison.fields("[log]", result.log, wanted.log, schema::kLog);
  comparison.fields("[audit]", result.audit, wanted.audit, schema::kAudit);
  // Members that come or go with pools of several, and their modules.
  std::set<std::string> live;
  const auto note_live = [&](const Config& in, const std::string& name) {
    if (const MemberConfig* member = in.find_member(name)) live.insert({name, "module " + member->module});
  };
  for (PoolConfig& pool : result.pools) {
    const PoolConfig* wish = wanted.find_pool(pool.name);
    if (wish == nullptr || pool.members.size() < 2 || wish->members.size() < 2) continue;
    for (const std::string& name : pool.members) note_live(running, name);
    for (const std::string& name : wish->members) note_live(wanted, name);
  }
  const auto never = [](const std::string&) { return false; };
  comparison.named(
      "module", result.modules, wanted.modules,
      [&](const std::string& name) { return live.contains("module " + name); },
      [&](const std::string& title, ModuleConfig& module, const ModuleConfig& wish) {
        comparison.fields(title, module, wish, schema::kModule);
        comparison.fields(title, module.token_options, wish.token_options, schema::kMemberOptions);
        comparison.fields(title, module.token_access, wish.token_access, schema::kPoolAccess);
      });
  comparison.named(
      "member", result.members, wanted.members, [&](const std::string& name) { return live.contains(name); },
      [&](const std::string& title, MemberConfig& member, const MemberConfig& wish) {
        comparison.fields(title, member, wish, schema::kMember);
        comparison.fields(title, member.options, wish.options, schema::kMemberOptions);
      });
  comparison.named("pool", result.pools, wanted.pools, never,
                   [&](const std::string& title, PoolConfig& pool, const PoolConfig& wish) {
                     comparison.members(title, pool, wish);
                     comparison.fields(title, pool, wish, schema::kPool);
                     comparison.fields(title, pool.access, wish.access, schema::kPoolAccess);
                     comparison.fields(title, pool.balance, wish.balance, schema::kBalance);
                   });
  plan.config = std::move(result);
  return plan;
}

}  // namespace p11shim
