#include "mixed.h"

#include <signal.h>

#include <map>

#include "integration/mixed_members.h"
#include "integration/pool_members.h"

namespace p11shim {
namespace {

// Signatures by member, since proxyd started.
std::map<std::string, std::uint64_t> signatures(const PrivateProxyd& proxyd) {
  std::map<std::string, std::uint64_t> counts;
  const auto stats = proxyd.ask("{\"command\":\"stats\"}");
  for (const auto& member : stats["result"]["members"])
    if (const auto& functions = member["functions"]; functions.contains("C_Sign"))
      counts[member["member"]] = functions["C_Sign"]["calls"];
  return counts;
}

}  // namespace

std::optional<MixedResult> measure_mixed(std::chrono::milliseconds duration) {
  if (!MixedMembers::installed()) return {};
  MixedMembers members;
  PrivateProxyd proxyd(members.config("strategy = \"least-outstanding\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, 8, 4);
  const auto up = [&](const std::string& name) {
    const auto member = member_status(proxyd, name);
    return member.is_object() && member.value("state", "") == "up" && member_worker(proxyd, name) > 0;
  };
  eventually([&] { return up("soft") && up("nss"); });
  load.measure(duration);
  MixedResult result;
  const auto counts = signatures(proxyd);
  std::uint64_t least = UINT64_MAX, all = 0;
  for (const char* name : {"soft", "nss"}) {
    const auto found = counts.find(name);
    const std::uint64_t count = found == counts.end() ? 0 : found->second;
    least = std::min(least, count);
    all += count;
  }
  result.least_share = all == 0 ? 0 : static_cast<double>(least) / static_cast<double>(all);
  load.take();
  for (const char* name : {"soft", "nss"}) {
    const pid_t worker = member_worker(proxyd, name);
    if (worker > 0) ::kill(worker, SIGKILL);
    eventually([&] { return up(name); });
    std::this_thread::sleep_for(duration / 4);
  }
  result.load = load.take();
  load.stop();
  return result;
}

}  // namespace p11shim
