#include "tools/shimctl/commands/explain/live_counts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/member_text.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kPatience{2};

std::uint64_t errors_of(const json& row, const std::string& name) {
  const auto errors = row.find("errors");
  if (errors == row.end() || !errors->is_object()) return 0;
  const auto count = errors->find(name);
  return count != errors->end() && count->is_number_unsigned() ? count->get<std::uint64_t>() : 0;
}

std::string text_of(const json& row, const char* key) {
  const auto entry = row.find(key);
  return entry != row.end() && entry->is_string() ? entry->get<std::string>() : "";
}

}  // namespace

CodeCounts count_code(const json& statistics, const std::string& name) {
  CodeCounts counts;
  for (const json& member : statistics.value("members", json::array())) {
    const json functions = member.value("functions", json::object());
    for (const auto& function : functions.items()) {
      const auto count = errors_of(function.value(), name);
      if (count == 0) continue;
      counts.total += count;
      counts.places.push_back({member_text(text_of(member, "pool"), text_of(member, "member")), function.key(), count});
    }
  }
  for (const json& client : statistics.value("clients", json::array()))
    if (const auto count = errors_of(client, name); count > 0)
      counts.clients.push_back({text_of(client, "client"), count});
  const auto more = [](const auto& a, const auto& b) { return a.count > b.count; };
  std::stable_sort(counts.places.begin(), counts.places.end(), more);
  std::stable_sort(counts.clients.begin(), counts.clients.end(), more);
  return counts;
}

std::optional<json> live_statistics(const Invocation& invocation, Live live) {
  if (live == Live::kNever) return std::nullopt;
  try {
    ControlClient control(invocation.control_path);
    return control.ask("stats", json::object(), kPatience);
  } catch (const Failure&) {
    if (live == Live::kAlways) throw;
    return std::nullopt;  // explaining needs no proxyd
  }
}

}  // namespace p11shim
