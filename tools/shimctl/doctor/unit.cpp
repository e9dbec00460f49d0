// Check 34: the unit's confinement, by its own directives and by systemd-analyze where that is installed.
#include <stdio.h>

#include <array>
#include <string_view>

#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/doctor/unit_file.h"

namespace p11shim {

namespace {

constexpr std::size_t kFewMissing = 3;

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// "1.9 OK", of the last line; empty if it cannot be had.
std::string exposure(const std::string& unit) {
  const std::string command =
      "timeout 10 systemd-analyze security --offline=true --no-pager " + quoted(unit) + " 2>/dev/null";
  FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return {};
  std::string text;
  std::array<char, 4096> chunk;
  while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe)) text.append(chunk.data(), size);
  ::pclose(pipe);
  constexpr std::string_view kWords = "Overall exposure level for ";
  auto at = text.rfind(kWords);
  if (at == std::string::npos) return {};
  at = text.find(": ", at);
  if (at == std::string::npos) return {};
  std::string level = text.substr(at + 2, text.find('\n', at) - at - 2);
  while (!level.empty() && (static_cast<unsigned char>(level.back()) > 0x7e || level.back() == ' ')) level.pop_back();
  return level;
}

}  // namespace

void examine_unit(Patient& patient, Examination& found) {
  const UnitFile unit = read_unit("proxyd.service", patient.unit_path);
  if (unit.path.empty()) {
    if (patient.unit_path.empty()) return found.skip("unit", "proxyd.service is not installed");
    return found.fail("unit", patient.unit_path + " cannot be read");
  }
  const auto missing = missing_hardening(unit);
  std::string line = unit.path;
  if (!unit.drop_ins.empty()) line += " and " + std::to_string(unit.drop_ins.size()) + " drop-ins";
  if (!missing.empty()) line += " lack";
  for (const std::string& directive : missing) line += " " + directive;
  const std::string level = exposure(unit.path);
  if (!level.empty()) line += "; systemd-analyze: exposure " + level;
  if (missing.empty()) found.pass("unit", line);
  else if (missing.size() <= kFewMissing) found.warn("unit", line);
  else found.fail("unit", line);
}

}  // namespace p11shim
