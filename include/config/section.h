// Reads one table of a configuration file into a struct, by a list of fields: a key is one line of such a
// list. The same lists tell which keys are known, what a reload may change while proxyd runs, and what the
// defaults are.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/kinds.h"
#include "config/problem.h"
#include "config/value.h"

namespace p11shim {

template <class Struct, class T, class Kind>
struct ConfigField {
  std::string_view name;
  T Struct::*member;
  Kind kind;
  bool is_required = false;
  bool is_live = false;  // a reload applies it without a restart

  constexpr ConfigField required() const {
    ConfigField field = *this;
    field.is_required = true;
    return field;
  }
  constexpr ConfigField live() const {
    ConfigField field = *this;
    field.is_live = true;
    return field;
  }
};

template <class Struct, class T, class Kind>
constexpr ConfigField<Struct, T, Kind> config_field(std::string_view name, T Struct::*member, Kind kind) {
  return {name, member, kind};
}

// Calls visit(field) for each field of the list.
template <class Fields, class Visit>
constexpr void for_each_field(const Fields& fields, Visit&& visit) {
  std::apply([&](const auto&... field) { (visit(field), ...); }, fields);
}

// A field's setting as it would be written.
template <class Field, class Struct>
std::string show_field(const Field& field, const Struct& from) {
  if constexpr (requires { field.kind.show(from.*field.member); }) {
    return field.kind.show(from.*field.member);
  } else {
    return from.*field.member ? field.kind.show(*(from.*field.member)) : "unset";
  }
}

// A table being read. Keys that no read() asked for are errors, said by finish(). Names are borrowed: they
// outlive the section.
class ConfigSection {
 public:
  // `title` as people write it ("[listen]"); `path` as places are noted ("listen"). Both are empty for the
  // root.
  ConfigSection(const ConfigValue& table, std::string title, std::string path, ConfigReport& report);

  template <class Struct, class Fields>
  void read(Struct& into, const Fields& fields) {
    for_each_field(fields, [&](const auto& field) {
      const ConfigEntry* entry = take(field.name);
      if (entry) return read_value(entry->value, path_of(field.name), field.kind, into.*field.member, report_);
      if (field.is_required) report_missing(field.name, field.kind.expected());
    });
  }

  // The fields' keys are errors here, for this reason.
  template <class Fields>
  void refuse(const Fields& fields, std::string_view reason) {
    for_each_field(fields, [&](const auto& field) { refuse_key(field.name, reason); });
  }
  void refuse_key(std::string_view name, std::string_view reason);

  // A sub-table or array of tables that the caller reads; null if it is absent.
  const ConfigEntry* take(std::string_view name);
  void report_missing(std::string_view name, std::string_view expected);
  void finish();
  std::string path_of(std::string_view name) const;

 private:
  const ConfigEntry* find(std::string_view name) const;
  std::string unknown_key(const ConfigEntry& entry) const;

  // Constant after construction; the table outlives the section.
  std::span<const ConfigEntry> entries_;
  ConfigPlace place_;
  std::string title_;
  std::string path_;
  ConfigReport& report_;

  std::vector<std::string_view> known_;
  std::vector<std::string_view> refused_;
};

// A table within a section, such as { min = "100ms", max = "30s" }, read by fields of its own.
template <class Fields>
struct TableKind {
  const Fields& fields;
  std::string_view example;

  std::string expected() const { return "a table such as " + std::string(example); }
  template <class Struct>
  void read(const ConfigValue& value, const std::string& path, Struct& into, ConfigReport& report) const {
    if (!value.get<ConfigValue::Table>()) return report.error(value.place, wrong_type(path, value, expected()));
    ConfigSection section(value, in_quotes(key_name(path)), path, report);
    section.read(into, fields);
    section.finish();
  }
  template <class Struct>
  std::string show(const Struct& from) const {
    std::string text = "{";
    for_each_field(fields, [&](const auto& field) {
      text += (text.size() == 1 ? " " : ", ") + std::string(field.name) + " = " + show_field(field, from);
    });
    return text + " }";
  }
};

}  // namespace p11shim
