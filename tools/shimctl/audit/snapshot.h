// The keys of a token and what was found of them, kept in a file to compare with later.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/shimctl/audit/rules.h"

namespace p11shim {

struct Snapshot {
  std::string token;
  std::string serial;
  std::string taken;                                    // "2026-11-21T06:00:00Z"
  std::map<std::string, nlohmann::json> objects;        // by identity
  std::set<std::pair<std::string, std::string>> found;  // rule, identity
};

struct KeyChange {
  std::string identity;
  std::string change;     // "added", "removed", "changed"
  std::string attribute;  // "extractable"; empty unless it was changed
  nlohmann::json left, right;
};

Snapshot snapshot(const std::vector<AuditedObject>& objects, const std::vector<KeyFinding>& findings);
std::string snapshot_text(const Snapshot& snapshot);
// Throws Failure (kConfiguration): there is no such file, or it holds something else.
Snapshot read_snapshot(const Invocation& invocation, const std::string& file);

std::vector<KeyChange> changes(const Snapshot& before, const Snapshot& now);

}  // namespace p11shim
