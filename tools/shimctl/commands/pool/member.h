// shimctl member: what the operator wants of a member of a pool, while it serves.
#pragma once

#include <cstdint>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct MemberOrder {
  std::string member;  // "POOL/MEMBER", or "MEMBER" where that is clear
  std::string action;
  std::string reason;
  std::int64_t weight = 0;
  bool force = false;
  bool now = false;
  double wait = 0;  // seconds
};

ExitCode change_member(const Invocation& invocation, const MemberOrder& options);

}  // namespace p11shim
