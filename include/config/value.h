// A parsed TOML document as a plain tree that remembers where everything stands. Keeps toml++ out of every
// other file: one translation unit pays for it, and none of its types or exceptions travel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/problem.h"

namespace p11shim {

struct ConfigEntry;

// A TOML type that no setting of ours uses: a float, a date.
struct ConfigOther {
  std::string_view type;
};

struct ConfigValue {
  using List = std::vector<ConfigValue>;
  using Table = std::vector<ConfigEntry>;

  std::variant<Table, List, std::string, std::int64_t, bool, ConfigOther> data;
  ConfigPlace place;

  std::string_view type() const;  // "a string", "a list", …
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data);
  }
};

struct ConfigEntry {
  std::string name;
  ConfigPlace place;  // of the name
  ConfigValue value;
};

// The root table. A syntax error is reported, and ends the file: the rest cannot be trusted to mean anything.
ConfigValue parse_toml(std::string_view text, ConfigReport& report);

}  // namespace p11shim
