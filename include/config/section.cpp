#include "config/section.h"

namespace p11shim {
namespace {

std::string comma_separated(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

bool is_list_of_tables(const ConfigValue& value) {
  const auto* items = value.get<ConfigValue::List>();
  return items && !items->empty() && items->front().get<ConfigValue::Table>();
}

}  // namespace

ConfigSection::ConfigSection(const ConfigValue& table, std::string title, std::string path, ConfigReport& report)
    : place_(table.place), title_(std::move(title)), path_(std::move(path)), report_(report) {
  if (const auto* entries = table.get<ConfigValue::Table>()) entries_ = *entries;
  if (!path_.empty()) report_.note_place(path_, place_);
}

std::string ConfigSection::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + '.' + std::string(name);
}

const ConfigEntry* ConfigSection::find(std::string_view name) const {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [name](const ConfigEntry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

const ConfigEntry* ConfigSection::take(std::string_view name) {
  known_.push_back(name);
  return find(name);
}

void ConfigSection::refuse_key(std::string_view name, std::string_view reason) {
  const ConfigEntry* entry = find(name);
  if (!entry) return;
  refused_.push_back(name);
  report_.error(entry->place, in_quotes(name) + ' ' + std::string(reason));
}

void ConfigSection::report_missing(std::string_view name, std::string_view expected) {
  report_.error(place_, title_ + " lacks " + in_quotes(name) + " (expected " + std::string(expected) + ')');
}

std::string ConfigSection::unknown_key(const ConfigEntry& entry) const {
  const bool is_section = path_.empty() && (entry.value.get<ConfigValue::Table>() || is_list_of_tables(entry.value));
  std::string message = (is_section ? "unknown section " : "unknown key ") + in_quotes(entry.name);
  if (!path_.empty()) message += " in " + title_;
  const std::string meant = did_you_mean(entry.name, known_);
  return message + (meant.empty() ? " (known: " + comma_separated(known_) + ')' : meant);
}

void ConfigSection::finish() {
  for (const ConfigEntry& entry : entries_) {
    const auto is_entry = [&](std::string_view name) { return name == entry.name; };
    if (std::any_of(known_.begin(), known_.end(), is_entry)) continue;
    if (std::any_of(refused_.begin(), refused_.end(), is_entry)) continue;
    report_.error(entry.place, unknown_key(entry));
  }
}

}  // namespace p11shim
