// Checks 101 and on: what a configuration and a unit should have before others depend on them.
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/doctor/unit_file.h"

namespace p11shim {

namespace {

constexpr long kTmpfs = 0x01021994, kRamfs = 0x858458f6;
constexpr std::uint32_t kFewFiles = 5;

constexpr const char* kOfConfig[] = {"redundancy",   "probes", "audit-on",      "audit-kept", "socket-mode",
                                     "daemon-login", "admin",  "module-pinned", "pin-source", "state-kept"};

void examine_pools(const Config& config, Examination& found) {
  for (const PoolConfig& pool : config.pools) {
    if (pool.members.size() < 2) found.warn("redundancy", pool.name + ": one member");
    else found.pass("redundancy", pool.name + ": " + std::to_string(pool.members.size()) + " members");
    if (pool.members.size() > 1) {
      if (pool.balance.probe.call == ProbeCall::none) found.fail("probes", pool.name + ": none");
      else found.pass("probes", pool.name);
    }
    const bool open = std::any_of(pool.members.begin(), pool.members.end(), [&](const std::string& name) {
      const MemberConfig* member = config.find_member(name);
      return member != nullptr && member->login == LoginMode::daemon;
    });
    if (open && pool.access.allow.is_everybody()) found.fail("daemon-login", pool.name + ": everybody who may connect");
    if (open && !pool.access.allow.is_everybody()) found.pass("daemon-login", pool.name);
    if (pool.access.admin.is_everybody()) found.fail("admin", pool.name + ": everybody may administer it");
    else found.pass("admin", pool.name);
  }
  for (const ModuleConfig& module : config.modules) {
    if (!module.check_owner) found.fail("module-pinned", module.name + ": check_owner is false");
    else if (module.sha256.empty()) found.warn("module-pinned", module.name + ": no sha256");
    else found.pass("module-pinned", module.name);
    if (!module.every_token) continue;
    found.warn("redundancy", module.name + ": one member for each token");
    if (module.token_access.admin.is_everybody())
      found.fail("admin", module.name + ": everybody may administer its tokens");
    else found.pass("admin", module.name);
  }
  for (const MemberConfig& member : config.members) {
    if (member.login != LoginMode::daemon) continue;
    if (!member.pin_file.empty()) found.warn("pin-source", member.name + ": a plain file");
    else found.pass("pin-source", member.name);
  }
  if (found.find("probes") == nullptr) found.leave_out("probes", "no pool has several members");
  for (const char* check : {"daemon-login", "pin-source"})
    if (found.find(check) == nullptr) found.leave_out(check, "no member logs in by itself");
}

void examine_audit(const AuditConfig& audit, Examination& found) {
  if (!audit.enabled) {
    found.fail("audit-on", "no audit log is kept");
    return found.skip("audit-kept", "no audit log is kept");
  }
  const auto has = [&](AuditClass wanted) {
    return std::find(audit.classes.begin(), audit.classes.end(), wanted) != audit.classes.end();
  };
  if (has(AuditClass::admin) && has(AuditClass::auth) && has(AuditClass::use))
    found.pass("audit-on", "admin, auth, use");
  else found.warn("audit-on", "classes are missing");
  if (audit.journal) found.pass("audit-kept", "in the journal");
  else if (audit.keep >= kFewFiles) found.pass("audit-kept", std::to_string(audit.keep) + " files");
  else found.warn("audit-kept", std::to_string(audit.keep) + " rotated files, and not in the journal");
}

void examine_places(const Config& config, Examination& found) {
  if (config.listen.tcp) found.fail("socket-mode", "there is a TCP listener");
  else if ((config.listen.mode & S_IWOTH) != 0) found.fail("socket-mode", "every user may connect");
  else found.pass("socket-mode", config.listen.group.empty() ? "proxyd's own group" : "group " + config.listen.group);
  struct statfs place {};
  if (::statfs(config.state.directory.c_str(), &place) != 0) return found.skip("state-kept", "it cannot be looked at");
  if (place.f_type == kTmpfs || place.f_type == kRamfs)
    found.fail("state-kept", config.state.directory + " is in memory");
  else found.pass("state-kept", config.state.directory);
}

void examine_service(const Patient& patient, Examination& found) {
  const UnitFile unit = read_unit("proxyd.service", patient.unit_path);
  if (unit.path.empty()) {
    for (const char* check : {"restart", "hardening"}) found.skip(check, "there is no unit");
  } else {
    const bool again = unit.has("Restart") && !unit.is("Restart", "no");
    if (again && unit.has("WatchdogSec")) found.pass("restart", "Restart=" + unit.service.at("Restart"));
    else found.fail("restart", again ? "WatchdogSec= is missing" : "Restart= is missing");
    const auto missing = missing_hardening(unit);
    if (missing.empty()) found.pass("hardening", unit.path);
    else found.fail("hardening", std::to_string(missing.size()) + " directives are missing");
  }
  const UnitFile socket = read_unit(
      "proxyd.socket",
      patient.unit_path.empty() ? "" : std::filesystem::path(patient.unit_path).replace_extension(".socket").string());
  if (socket.path.empty()) found.warn("socket-activation", "proxyd.socket is not installed");
  else found.pass("socket-activation", socket.path);

  const std::int64_t pid = patient.status.is_object() ? patient.status.value("pid", std::int64_t{0}) : 0;
  struct stat process {};
  if (pid > 0 && ::stat(("/proc/" + std::to_string(pid) + "/task").c_str(), &process) == 0 && unit.path.empty()) {
    // An undumpable process's files belong to root, whoever runs it: they say nothing then.
    if (process.st_uid != 0) found.pass("own-user", "uid " + std::to_string(process.st_uid));
    else found.skip("own-user", "proxyd's user cannot be told");
  } else if (unit.path.empty()) {
    found.skip("own-user", "there is no unit");
  } else if (!unit.has("User") || unit.is("User", "root") || unit.is("User", "0")) {
    found.fail("own-user", "User= is missing or root");
  } else {
    found.pass("own-user", unit.service.at("User"));
  }
}

}  // namespace

void examine_readiness(Patient& patient, Examination& found) {
  if (patient.config) {
    examine_pools(*patient.config, found);
    examine_audit(patient.config->audit, found);
    examine_places(*patient.config, found);
  }
  for (const char* check : kOfConfig)
    if (found.find(check) == nullptr)
      found.skip(check, patient.config ? "nothing to look at" : "the configuration is not known");
  examine_service(patient, found);
}

}  // namespace p11shim
