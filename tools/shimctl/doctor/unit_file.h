// A systemd unit with its drop-ins, as far as doctor asks: the last value of each key of [Service].
#pragma once

#include <map>
#include <string>
#include <vector>

namespace p11shim {

struct UnitFile {
  std::string path;                            // empty: there is none
  std::vector<std::string> drop_ins;           // that were read
  std::map<std::string, std::string> service;  // "NoNewPrivileges" → "yes"; keys that add up are joined by blanks

  bool is(const std::string& key, const std::string& value) const;
  bool has(const std::string& key) const { return service.contains(key); }
};

// `name` where systemd looks for units, or the file `chosen`.
UnitFile read_unit(const std::string& name, const std::string& chosen);

// Directives of proxyd's own unit that the given one lacks: "NoNewPrivileges=yes".
std::vector<std::string> missing_hardening(const UnitFile& unit);

}  // namespace p11shim
