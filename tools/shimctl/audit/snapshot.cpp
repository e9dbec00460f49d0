#include "tools/shimctl/audit/snapshot.h"

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::size_t kLargest = 256 << 20;
constexpr char kSchema[] = "p11shim.audit.snapshot/1";

json flattened(const json& object) {
  json flat = object.value("attributes", json::object());
  for (const char* key : {"type", "size", "fingerprint"}) flat[key] = object.value(key, json());
  return flat;
}

}  // namespace

Snapshot snapshot(const std::vector<AuditedObject>& objects, const std::vector<KeyFinding>& findings) {
  Snapshot taken;
  for (const AuditedObject& object : objects)
    taken.objects[object.identity] = json::parse(json_text(snapshot_of(object)), nullptr, false);
  for (const KeyFinding& finding : findings) taken.found.emplace(finding.rule, finding.object->identity);
  return taken;
}

std::string snapshot_text(const Snapshot& snapshot) {
  json objects = json::array(), findings = json::array();
  for (const auto& [identity, object] : snapshot.objects) objects.push_back(object);
  for (const auto& [rule, identity] : snapshot.found) findings.push_back({{"rule", rule}, {"identity", identity}});
  const json all{{"schema", kSchema},
                 {"data",
                  {{"token", snapshot.token},
                   {"serial", snapshot.serial},
                   {"taken", snapshot.taken},
                   {"objects", objects},
                   {"findings", findings}}}};
  return all.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

Snapshot read_snapshot(const Invocation& invocation, const std::string& file) {
  const json all = json::parse(read_file(invocation, file, kLargest, "a snapshot"), nullptr, false);
  const auto refuse = [&]() -> Failure {
    return {ExitCode::kConfiguration, in_quotes(file) + " is no snapshot of audit keys", "--snapshot FILE writes one"};
  };
  if (!all.is_object() || all.value("schema", json()) != kSchema || !all.contains("data")) throw refuse();
  try {
    const json& data = all.at("data");
    Snapshot read{
        .token = data.at("token"), .serial = data.at("serial"), .taken = data.at("taken"), .objects = {}, .found = {}};
    for (const json& object : data.at("objects")) {
      if (!object.is_object()) throw refuse();
      read.objects[object.at("identity").get<std::string>()] = object;
    }
    for (const json& finding : data.at("findings"))
      read.found.emplace(finding.at("rule").get<std::string>(), finding.at("identity").get<std::string>());
    return read;
  } catch (const json::exception&) {
    throw refuse();
  }
}

std::vector<KeyChange> changes(const Snapshot& before, const Snapshot& now) {
  std::vector<KeyChange> all;
  for (const auto& [identity, object] : before.objects)
    if (!now.objects.contains(identity)) all.push_back({identity, "removed", {}, {}, {}});
  for (const auto& [identity, object] : now.objects) {
    const auto former = before.objects.find(identity);
    if (former == before.objects.end()) {
      all.push_back({identity, "added", {}, {}, {}});
      continue;
    }
    const json left = flattened(former->second), right = flattened(object);
    std::set<std::string> keys;
    for (const json* side : {&left, &right})
      for (const auto& entry : side->items()) keys.insert(entry.key());
    for (const std::string& key : keys) {
      const json a = left.value(key, json()), b = right.value(key, json());
      if (a != b) all.push_back({identity, "changed", key, a, b});
    }
  }
  return all;
}

}  // namespace p11shim
