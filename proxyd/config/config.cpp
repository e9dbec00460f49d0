#include "proxyd/config/config.h"

#include <algorithm>

namespace p11shim {
namespace {

template <class Named>
const Named* find_named(const std::vector<Named>& list, std::string_view name) {
  const auto found = std::find_if(list.begin(), list.end(), [name](const Named& each) { return each.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

const ModuleConfig* Config::find_module(std::string_view name) const { return find_named(modules, name); }
const MemberConfig* Config::find_member(std::string_view name) const { return find_named(members, name); }
const PoolConfig* Config::find_pool(std::string_view name) const { return find_named(pools, name); }

Environment worker_environment(const ModuleConfig& module, const MemberConfig& member) {
  Environment environment = member.environment;
  environment.insert(module.environment.begin(), module.environment.end());  // keeps what is there
  return environment;
}

}  // namespace p11shim
