// A table of a knowledge file being read: texts, lists of texts, flags. A key that nobody asked for is an error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/problem.h"
#include "config/value.h"

namespace p11shim {

class TextTable {
 public:
  // `entry` outlives it; it is reported if it is no table.
  TextTable(const ConfigEntry& entry, ConfigReport& report);

  const std::string& name() const { return entry_.name; }
  ConfigPlace place() const { return entry_.place; }

  std::string text(std::string_view key);                            // empty if it is absent
  std::string required(std::string_view key);                        // reported if it is absent or empty
  std::string choice(std::string_view key, std::string_view words);  // one of `words`, separated by blanks
  std::vector<std::string> list(std::string_view key);
  bool flag(std::string_view key);
  const ConfigValue* number(std::string_view key);  // null if it is absent or none
  const ConfigEntry* take(std::string_view key);    // a sub-table, null if it is absent

  void finish();

 private:
  std::string where(std::string_view key) const { return entry_.name + "." + std::string(key); }

  const ConfigEntry& entry_;
  ConfigReport& report_;
  const ConfigValue::Table* entries_ = nullptr;
  std::vector<std::string_view> known_;
};

// Texts of a list; anything else in it is reported under `where`.
std::vector<std::string> texts_of(const ConfigValue& value, const std::string& where, ConfigReport& report);

}  // namespace p11shim
