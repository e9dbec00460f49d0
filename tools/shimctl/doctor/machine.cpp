// Checks 25 to 33: limits of the running proxyd, and what it needs of the machine.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tools/shimctl/doctor/patient.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::uint64_t kFewDescriptors = 4096, kLittleLocked = 1 << 20;
constexpr std::uint64_t kLittleDisk = 64 << 20;

// The soft limit in a process's /proc/PID/limits; UINT64_MAX: unlimited.
std::optional<std::uint64_t> limit_of(std::int64_t pid, const std::string& name) {
  std::ifstream limits("/proc/" + std::to_string(pid) + "/limits");
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with(name)) continue;
    const auto begin = line.find_first_not_of(' ', name.size());
    if (begin == std::string::npos) return std::nullopt;
    const std::string word = line.substr(begin, line.find(' ', begin) - begin);
    if (word == "unlimited") return UINT64_MAX;
    return std::strtoull(word.c_str(), nullptr, 10);
  }
  return std::nullopt;
}

std::string count_text(std::uint64_t count) { return count == UINT64_MAX ? "unlimited" : std::to_string(count); }

void examine_limits(const Patient& patient, Examination& found) {
  const std::int64_t pid = patient.status.is_object() ? patient.status.value("pid", std::int64_t{0}) : 0;
  const auto examine = [&](const char* check, const char* name, auto&& judge) {
    if (pid <= 0) return found.skip(check, "proxyd is not asked");
    const auto limit = limit_of(pid, name);
    if (!limit) return found.skip(check, "/proc/" + std::to_string(pid) + "/limits cannot be read");
    judge(*limit);
  };
  examine("descriptors", "Max open files", [&](std::uint64_t limit) {
    const std::uint64_t used = patient.status.value("applications", json::array()).size();
    const std::string line = count_text(limit) + " allowed, " + std::to_string(used) + " applications connected";
    if (used * 5 > limit * 4) found.fail("descriptors", line);
    else if (limit < kFewDescriptors) found.warn("descriptors", line);
    else found.pass("descriptors", line);
  });
  examine("locked-memory", "Max locked memory", [&](std::uint64_t limit) {
    const std::string line = count_text(limit) + (limit == UINT64_MAX ? "" : " bytes");
    if (limit < kLittleLocked) found.warn("locked-memory", line);
    else found.pass("locked-memory", line);
  });
  examine("core-dumps", "Max core file size", [&](std::uint64_t limit) {
    if (limit == 0) found.pass("core-dumps", "none are written");
    else found.warn("core-dumps", count_text(limit) + " bytes are allowed");
  });
}

void examine_sessions(const Patient& patient, Examination& found) {
  if (!patient.status.is_object()) return found.skip("application-sessions", "proxyd is not asked");
  const std::uint64_t most = patient.config ? patient.config->limits.max_sessions_per_application
                                            : LimitsConfig{}.max_sessions_per_application;
  std::uint64_t top = 0;
  std::string who;
  for (const json& application : patient.status.value("applications", json::array())) {
    const auto sessions = application.value("virtual_sessions", std::uint64_t{0});
    if (sessions > top) top = sessions, who = application.value("program", "");
  }
  const std::string line = std::to_string(top) + " of " + std::to_string(most) + (who.empty() ? "" : ", " + who);
  if (top * 5 > most * 4) found.warn("application-sessions", line);
  else found.pass("application-sessions", line);
}

void examine_clock(Examination& found) {
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (state < 0) return found.skip("clock", std::string("the kernel does not tell: ") + std::strerror(errno));
  if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0) found.warn("clock", "not synchronised");
  else found.pass("clock", "synchronised");
}

void examine_state(const Patient& patient, Examination& found) {
  if (!patient.config) return found.skip("state-directory", "the configuration is not known");
  const std::string& path = patient.config->state.directory;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return found.fail("state-directory", path + ": " + std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return found.fail("state-directory", path + " is no directory");
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return found.fail("state-directory", path + ": others may write there");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) found.warn("state-directory", path + ": others may enter it");
  struct stat key {};
  if (::stat((path + "/handle_key").c_str(), &key) != 0) {
    if (errno == EACCES) return found.skip("state-directory", path + " is not this user's to look into");
    return found.warn("state-directory", path + " has no handle_key yet");
  }
  if ((key.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return found.fail("state-directory", "others may read " + path + "/handle_key");
  found.pass("state-directory", path);
}

void examine_space(const std::string& path, Examination& found) {
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) != 0) return found.skip("disk-space", path + ": " + std::strerror(errno));
  const std::uint64_t free = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  const std::uint64_t all = static_cast<std::uint64_t>(space.f_blocks) * space.f_frsize;
  const std::string line = path + ": " + std::to_string(free >> 20) + " MiB free";
  if (free < kLittleDisk) found.fail("disk-space", line);
  else if (free < all / 20) found.warn("disk-space", line);
  else found.pass("disk-space", line);
}

void examine_disk(const Patient& patient, Examination& found) {
  if (!patient.config) return found.skip("disk-space", "the configuration is not known");
  examine_space(patient.config->state.directory, found);
  if (patient.config->audit.enabled && !patient.config->audit.file.empty())
    examine_space(std::filesystem::path(patient.config->audit.file).parent_path(), found);
}

void examine_audit(const Patient& patient, Examination& found) {
  const json audit = patient.status.is_object() ? patient.status.value("audit", json()) : json();
  if (!patient.status.is_object()) return found.skip("audit-sink", "proxyd is not asked");
  if (!audit.is_object()) return found.skip("audit-sink", "no audit log is kept");
  const auto lost = audit.value("lost", std::uint64_t{0});
  const auto incomplete = audit.value("incomplete", std::uint64_t{0});
  if (!audit.value("ok", true)) found.fail("audit-sink", "cannot be written: " + audit.value("last_error", "?"));
  else if (lost > 0) found.warn("audit-sink", std::to_string(lost) + " records were lost");
  else if (incomplete > 0)
    found.warn("audit-sink", std::to_string(incomplete) + " records are missing in the file or in the journal");
  else found.pass("audit-sink", std::to_string(audit.value("written", std::uint64_t{0})) + " records written");
}

void examine_pin_files(const Patient& patient, Examination& found) {
  if (!patient.config) return found.skip("pin-files", "the configuration is not known");
  for (const MemberConfig& member : patient.config->members) {
    if (member.pin_file.empty()) continue;
    struct stat status {};
    if (::stat(member.pin_file.c_str(), &status) != 0)
      found.warn("pin-files", member.pin_file + ": " + std::strerror(errno));
    else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
      found.fail("pin-files", "others may read or change " + member.pin_file);
    else found.pass("pin-files", member.pin_file);
  }
  if (found.find("pin-files") == nullptr) found.pass("pin-files", "the configuration names none");
}

}  // namespace

void examine_machine(Patient& patient, Examination& found) {
  examine_limits(patient, found);
  examine_sessions(patient, found);
  examine_clock(found);
  examine_state(patient, found);
  examine_disk(patient, found);
  examine_audit(patient, found);
  examine_pin_files(patient, found);
}

}  // namespace p11shim
