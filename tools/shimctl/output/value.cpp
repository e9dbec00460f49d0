#include "tools/shimctl/output/value.h"

#include <array>
#include <charconv>

namespace p11shim {

Value& Value::set(std::string_view key, Value value) {
  if (is_null()) data_ = Record{};
  auto& record = std::get<Record>(data_);
  for (auto& member : record) {
    if (member.first != key) continue;
    member.second = std::move(value);
    return *this;
  }
  record.emplace_back(std::string(key), std::move(value));
  return *this;
}

const Value* Value::find(std::string_view path) const {
  const auto* members = record();
  if (members == nullptr) return nullptr;
  for (const auto& [key, value] : *members) {
    if (path == key) return &value;
    if (path.size() > key.size() && path.starts_with(key) && path[key.size()] == '.') {
      if (const auto* inner = value.find(path.substr(key.size() + 1))) return inner;
    }
  }
  return nullptr;
}

void Value::push_back(Value value) {
  if (is_null()) data_ = List{};
  std::get<List>(data_).push_back(std::move(value));
}

std::string cell_text(const Value& value, CellStyle style) {
  const bool people = style == CellStyle::kPeople;
  if (value.is_null()) return people ? "-" : "";
  if (const auto* truth = value.get_if<bool>()) {
    if (people) return *truth ? "yes" : "no";
    return *truth ? "true" : "false";
  }
  if (const auto* text = value.text()) return *text;
  if (const auto* list = value.list()) {
    std::string all;
    for (const auto& entry : *list) {
      if (!all.empty()) all += people ? ", " : " ";
      all += cell_text(entry, style);
    }
    return all.empty() && people ? "-" : all;
  }
  if (const auto* number = value.get_if<double>(); number != nullptr && people) {
    std::array<char, 64> buffer;
    const auto end = std::to_chars(buffer.begin(), buffer.end(), *number, std::chars_format::general, 4).ptr;
    return {buffer.begin(), end};
  }
  return json_text(value);
}

namespace {

void collect(const Value& value, const std::string& path, std::vector<std::pair<std::string, const Value*>>& found) {
  const auto* record = value.record();
  if (record == nullptr) return found.emplace_back(path, &value), void();
  for (const auto& [key, inner] : *record) collect(inner, path.empty() ? key : path + "." + key, found);
}

}  // namespace

std::vector<std::pair<std::string, const Value*>> leaves(const Value& value) {
  std::vector<std::pair<std::string, const Value*>> found;
  if (!value.is_null()) collect(value, "", found);
  return found;
}

}  // namespace p11shim
