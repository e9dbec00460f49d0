#include "proxyd/tokens/nonce_makers.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

Identity name_of(std::uint64_t handle) {
  Identity name{'h', 'a', 'n', 'd', 'l', 'e'};
  std::memcpy(name.data() + name.size() - sizeof handle, &handle, sizeof handle);
  return name;
}

}  // namespace

NonceMakers::NonceMakers(StateDirectory& state) : state_(state) {
  state_.for_each_nonce_maker([this](const Identity& key, const std::string& member) { makers_[key] = member; });
}

const Member* NonceMakers::of(const Pool& pool, const TokenObject& key) {
  const Identity names[] = {name_of(key.handle), key.identity};
  std::string known;
  for (const Identity& name : names)
    if (const auto found = makers_.find(name); known.empty() && found != makers_.end()) known = found->second;
  const Membership* maker = nullptr;
  for (const auto& each : pool.members) {
    if (each->member.name() == known) return remember(names[0], known), remember(names[1], known), &each->member;
    if ((key.members & each->bit()) != 0 && (maker == nullptr || each->number < maker->number)) maker = each.get();
  }
  if (maker == nullptr) return nullptr;
  if (!known.empty())
    pool.runtime().log.warn(
        "pool {}: member {}, which made the nonces of key \"{}\", is gone: member {} makes them now", pool.config.name,
        known, key.label, maker->member.name());
  for (const Identity& name : names) remember(name, maker->member.name());
  return &maker->member;
}

void NonceMakers::remember(const Identity& key, const std::string& member) {
  std::string& known = makers_[key];
  if (std::exchange(known, member) != member) state_.remember_nonce_maker(key, member);
}

}  // namespace p11shim
