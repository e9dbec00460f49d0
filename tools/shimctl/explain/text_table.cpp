#include "tools/shimctl/explain/text_table.h"

#include <algorithm>

#include "config/nearest.h"

namespace p11shim {

namespace {

bool is_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const auto end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

}  // namespace

std::vector<std::string> texts_of(const ConfigValue& value, const std::string& where, ConfigReport& report) {
  std::vector<std::string> texts;
  const auto* items = value.get<ConfigValue::List>();
  if (items == nullptr) return report.error(value.place, where + " must be a list of texts"), texts;
  for (const ConfigValue& item : *items) {
    const auto* text = item.get<std::string>();
    if (text == nullptr || text->empty()) report.error(item.place, where + ": an item is no text");
    else texts.push_back(*text);
  }
  return texts;
}

TextTable::TextTable(const ConfigEntry& entry, ConfigReport& report)
    : entry_(entry), report_(report), entries_(entry.value.get<ConfigValue::Table>()) {
  if (entries_ == nullptr) report_.error(entry.place, in_quotes(entry.name) + " must be a table");
}

const ConfigEntry* TextTable::take(std::string_view key) {
  known_.push_back(key);
  if (entries_ == nullptr) return nullptr;
  const auto found =
      std::find_if(entries_->begin(), entries_->end(), [key](const ConfigEntry& entry) { return entry.name == key; });
  return found == entries_->end() ? nullptr : &*found;
}

std::string TextTable::text(std::string_view key) {
  const ConfigEntry* entry = take(key);
  if (entry == nullptr) return "";
  const auto* text = entry->value.get<std::string>();
  if (text != nullptr) return *text;
  report_.error(entry->value.place, where(key) + " must be a text");
  return "";
}

std::string TextTable::required(std::string_view key) {
  std::string found = text(key);
  if (found.empty()) report_.error(entry_.place, where(key) + " is missing");
  return found;
}

std::string TextTable::choice(std::string_view key, std::string_view words) {
  std::string found = text(key);
  if (!is_word(words, found))
    report_.error(entry_.place,
                  where(key) + (found.empty() ? " is missing; it is" : " must be") + " one of: " + std::string(words));
  return found;
}

std::vector<std::string> TextTable::list(std::string_view key) {
  const ConfigEntry* entry = take(key);
  if (entry == nullptr) return {};
  return texts_of(entry->value, where(key), report_);
}

bool TextTable::flag(std::string_view key) {
  const ConfigEntry* entry = take(key);
  if (entry == nullptr) return false;
  const bool* flag = entry->value.get<bool>();
  if (flag == nullptr) report_.error(entry->value.place, where(key) + " must be true or false");
  return flag != nullptr && *flag;
}

const ConfigValue* TextTable::number(std::string_view key) {
  const ConfigEntry* entry = take(key);
  if (entry == nullptr) return nullptr;
  if (entry->value.get<std::int64_t>() != nullptr) return &entry->value;
  report_.error(entry->value.place, where(key) + " must be a number such as 0x80000001");
  return nullptr;
}

void TextTable::finish() {
  if (entries_ == nullptr) return;
  for (const ConfigEntry& entry : *entries_) {
    if (std::find(known_.begin(), known_.end(), entry.name) != known_.end()) continue;
    report_.error(entry.place, "unknown key " + in_quotes(where(entry.name)) + did_you_mean(entry.name, known_));
  }
}

}  // namespace p11shim
