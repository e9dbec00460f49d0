// One virtual token: a slot as applications see it, over its member.
#pragma once

#include <string>

#include "proxyd/objects/object_directory.h"
#include "proxyd/stats/registry.h"
#include "proxyd/tokens/member.h"

namespace p11shim {

class Pool {
 public:
  Pool(PoolConfig pool_config, CK_SLOT_ID virtual_slot, Member& only_member, StateDirectory& state)
      : config(std::move(pool_config)), slot(virtual_slot), member(only_member), objects(config.name, state) {}

  PoolConfig config;
  const CK_SLOT_ID slot;
  Member& member;
  ObjectDirectory objects;
  std::uint64_t sessions = 0;          // virtual ones, of all applications
  MemberId statistics{};               // of its member, in the registry
};

}  // namespace p11shim
