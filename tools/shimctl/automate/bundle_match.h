// What of a token is a bundle's object already, and what is only called so.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/automate/backup.h"

namespace p11shim {

enum class Presence : std::uint8_t {
  kMissing,
  kSame,
  kOther,     // another object has its class, id and label
  kUnproven,  // an object has them that cannot be compared
};

struct BundleMatch {
  Presence presence = Presence::kMissing;
  std::string why;
};

// Of each of a bundle's objects, in their order. An object of the token is at most one of them. Keys that may leave
// the token are compared by what they are wrapped as, others by fingerprint or check value. Throws CallError.
std::vector<BundleMatch> match_bundle(const Session& session, const BackupKek& kek, const nlohmann::json& objects);

}  // namespace p11shim
