#include "tools/shimctl/doctor/unit_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace p11shim {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFolders[] = {"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
                                    "/usr/lib/systemd/system", "/lib/systemd/system"};

struct Directive {
  const char* key;
  const char* value;  // "": any, but it must be there and not be empty-handed
};
constexpr Directive kHardening[] = {{"NoNewPrivileges", "yes"},
                                    {"CapabilityBoundingSet", ""},
                                    {"ProtectSystem", "strict"},
                                    {"ProtectHome", "yes"},
                                    {"PrivateTmp", "yes"},
                                    {"PrivateDevices", "yes"},
                                    {"ProtectKernelTunables", "yes"},
                                    {"ProtectKernelModules", "yes"},
                                    {"ProtectKernelLogs", "yes"},
                                    {"ProtectControlGroups", "yes"},
                                    {"ProtectClock", "yes"},
                                    {"ProtectHostname", "yes"},
                                    {"RestrictNamespaces", "yes"},
                                    {"RestrictRealtime", "yes"},
                                    {"RestrictSUIDSGID", "yes"},
                                    {"LockPersonality", "yes"},
                                    {"MemoryDenyWriteExecute", "yes"},
                                    {"RestrictAddressFamilies", ""},
                                    {"SystemCallArchitectures", "native"},
                                    {"SystemCallFilter", ""},
                                    {"UMask", "0077"},
                                    {"LimitCORE", "0"}};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string truth(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (value == "true" || value == "on" || value == "1") return "yes";
  return value;
}

void read_into(UnitFile& unit, const fs::path& path) {
  std::ifstream file(path);
  bool service = false;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && line.back() == '\\') {
      line.back() = ' ';
      std::string more;
      if (!std::getline(file, more)) break;
      line += more;
    }
    line = trimmed(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      service = line == "[Service]";
      continue;
    }
    const auto equals = line.find('=');
    if (!service || equals == std::string::npos) continue;
    const std::string key = trimmed(line.substr(0, equals));
    const std::string value = trimmed(line.substr(equals + 1));
    const bool adds = key == "SystemCallFilter" && !value.empty() && unit.has(key);
    unit.service[key] = adds ? unit.service[key] + " " + value : value;
  }
}

}  // namespace

bool UnitFile::is(const std::string& key, const std::string& value) const {
  const auto found = service.find(key);
  return found != service.end() && (truth(found->second) == value || found->second == value);
}

UnitFile read_unit(const std::string& name, const std::string& chosen) {
  UnitFile unit;
  std::error_code none;
  if (!chosen.empty()) {
    if (fs::is_regular_file(chosen, none)) unit.path = chosen;
  } else {
    for (const char* folder : kFolders)
      if (unit.path.empty() && fs::exists(fs::path(folder) / name, none)) unit.path = fs::path(folder) / name;
  }
  if (unit.path.empty()) return unit;
  read_into(unit, unit.path);
  std::vector<fs::path> folders{unit.path + ".d"};
  if (chosen.empty()) folders.assign(std::begin(kFolders), std::end(kFolders));
  std::map<std::string, fs::path> drop_ins;  // by name, the first folder's; read in the order of names
  for (const auto& folder : folders) {
    const fs::path place = chosen.empty() ? folder / (name + ".d") : folder;
    for (const auto& entry : fs::directory_iterator(place, none))
      if (entry.path().extension() == ".conf") drop_ins.emplace(entry.path().filename(), entry.path());
  }
  for (const auto& [file, path] : drop_ins) {
    read_into(unit, path);
    unit.drop_ins.push_back(path);
  }
  return unit;
}

std::vector<std::string> missing_hardening(const UnitFile& unit) {
  std::vector<std::string> missing;
  for (const Directive& directive : kHardening) {
    const std::string value = directive.value;
    const bool there = value.empty() ? unit.has(directive.key) : unit.is(directive.key, value);
    if (!there) missing.push_back(std::string(directive.key) + (value.empty() ? "=…" : "=" + value));
  }
  return missing;
}

}  // namespace p11shim
