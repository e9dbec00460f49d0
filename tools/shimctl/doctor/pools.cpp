// Checks 20 to 24: what proxyd tells of members, workers, breakers and faults.
#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/member_text.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr const char* kChecks[] = {"members", "workers", "breakers", "pool-drift", "faults"};
constexpr std::uint64_t kManyRestarts = 3;
constexpr double kFewFaults = 0.001, kManyFaults = 0.01;

std::string text(const json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_string() ? entry->get<std::string>() : "";
}

void examine_member(const json& member, Examination& found) {
  const std::string name = member_text(text(member, "pool"), text(member, "member"));
  const std::string state = text(member, "state");
  const std::string reason = text(member, "reason");
  const std::string line = name + ": " + state + (reason.empty() ? "" : ", " + reason);
  if (state == "up") found.pass("members", name);
  else if (state == "down" || state == "ejected") found.fail("members", line);
  else found.warn("members", line);
  for (const json& worker : member.value("workers", json::array())) {
    const std::string of = name + " (" + text(worker, "domain") + ")";
    const auto stuck = worker.value("stuck_lanes", std::uint64_t{0});
    const auto queued = worker.value("queued", std::uint64_t{0});
    const auto restarts = worker.value("restarts", std::uint64_t{0});
    if (stuck > 0) found.fail("workers", of + ": " + std::to_string(stuck) + " lanes hang in the module");
    if (queued > worker.value("lanes", std::uint64_t{1}))
      found.warn("workers", of + ": " + std::to_string(queued) + " calls wait");
    if (restarts >= kManyRestarts) found.warn("workers", of + ": " + std::to_string(restarts) + " restarts");
    found.pass("workers", of);
  }
}

void examine_breakers(const json& pools, Examination& found) {
  if (!pools.is_object()) return found.skip("breakers", "proxyd does not tell");
  std::size_t members = 0;
  for (const json& pool : pools.value("pools", json::array()))
    for (const json& member : pool.value("members", json::array())) {
      const std::string name = member_text(text(pool, "pool"), text(member, "member"));
      const std::string wanted = text(member.value("administrative", json::object()), "state");
      const auto ejections = member.value("ejections", std::uint64_t{0});
      if (text(member, "state") == "ejected") found.fail("breakers", name + ": ejected");
      else if (wanted == "drain" || wanted == "maint")
        found.warn("breakers", name + ": kept out by an operator (" + wanted + ")");
      else if (ejections > 0) found.warn("breakers", name + ": was ejected " + std::to_string(ejections) + " times");
      ++members;
    }
  if (found.find("breakers") == nullptr) found.pass("breakers", std::to_string(members) + " members take calls");
}

// An older proxyd does not know the question.
void examine_drift(const Patient& patient, Examination& found) {
  bool any = false;
  for (const json& pool : patient.pools.is_object() ? patient.pools.value("pools", json::array()) : json::array()) {
    if (pool.value("members", json::array()).size() < 2) continue;
    any = true;
    const std::string name = text(pool, "pool");
    try {
      ControlClient control(patient.invocation.control_path);
      const json diff = control.ask("pool-diff", {{"pool", name}}, std::chrono::seconds(20));
      const auto differences = diff.value("differences", json::array()).size();
      const auto left_out = diff.value("not_compared", json::array()).size();
      const std::string among =
          diff.value("private_compared", false) ? "" : ": public objects, since nobody is logged in";
      const std::string line =
          name + ": " + std::to_string(differences) + (differences == 1 ? " difference" : " differences") + among;
      if (differences > 0) found.fail("pool-drift", line);
      else if (left_out > 0)
        found.warn("pool-drift", name + ": " + std::to_string(left_out) + " members could not be asked");
      else found.pass("pool-drift", name + among);
    } catch (const Failure& failure) {
      found.skip("pool-drift", name + ": " + failure.reason().what);
    }
  }
  if (!any) found.skip("pool-drift", "no pool has several members");
}

void examine_faults(const json& stats, Examination& found) {
  if (!stats.is_object()) return found.skip("faults", "proxyd does not tell");
  for (const json& member : stats.value("members", json::array())) {
    std::uint64_t calls = 0;
    std::uint64_t faults = 0;
    std::string worst;
    std::uint64_t most = 0;
    const json functions = member.value("functions", json::object());
    for (const auto& function : functions.items()) {
      calls += function.value().value("calls", std::uint64_t{0});
      const json errors = function.value().value("errors", json::object());
      for (const auto& error : errors.items()) {
        const auto rv = ckr_value(error.key());
        if (!rv || blame_of(*rv) == Blame::nobody || !error.value().is_number_unsigned()) continue;
        const auto count = error.value().get<std::uint64_t>();
        faults += count;
        if (count > most) most = count, worst = error.key();
      }
    }
    if (calls == 0) continue;
    const std::string name = member_text(text(member, "pool"), text(member, "member"));
    const double share = static_cast<double>(faults) / static_cast<double>(calls);
    const std::string line = name + ": " + std::to_string(faults) + " of " + std::to_string(calls) + " calls" +
                             (worst.empty() ? "" : ", mostly " + worst);
    if (share >= kManyFaults) found.fail("faults", line);
    else if (share >= kFewFaults) found.warn("faults", line);
    else found.pass("faults", line);
  }
  if (found.find("faults") == nullptr) found.skip("faults", "nothing was called yet");
}

}  // namespace

void examine_pools(Patient& patient, Examination& found) {
  if (!patient.status.is_object()) {
    for (const char* check : kChecks) found.skip(check, "proxyd is not asked");
    return;
  }
  for (const json& member : patient.status.value("members", json::array())) examine_member(member, found);
  for (const char* check : {"members", "workers"})
    if (found.find(check) == nullptr) found.skip(check, "there is none yet");
  examine_breakers(patient.pools, found);
  examine_drift(patient, found);
  examine_faults(patient.stats, found);
}

}  // namespace p11shim
