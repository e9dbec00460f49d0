// How a member is called in what people read: "pool/member".
#pragma once

#include <string>

namespace p11shim {

// A token shown as it is has the same name in both roles; what proxyd answers by itself has no member.
inline std::string member_text(const std::string& pool, const std::string& member) {
  if (pool.empty() && member.empty()) return "proxyd";
  if (member.empty() || member == pool) return pool;
  return pool + "/" + member;
}

}  // namespace p11shim
