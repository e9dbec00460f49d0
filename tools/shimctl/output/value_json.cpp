#include "tools/shimctl/output/value_json.h"

#include <nlohmann/json.hpp>

namespace p11shim {

namespace {

using nlohmann::ordered_json;

ordered_json json_of(const Value& value) {
  if (const auto* truth = value.get_if<bool>()) return *truth;
  if (const auto* number = value.get_if<std::int64_t>()) return *number;
  if (const auto* number = value.get_if<std::uint64_t>()) return *number;
  if (const auto* number = value.get_if<double>()) return *number;
  if (const auto* text = value.text()) return *text;
  if (const auto* list = value.list()) {
    auto array = ordered_json::array();
    for (const auto& entry : *list) array.push_back(json_of(entry));
    return array;
  }
  if (const auto* record = value.record()) {
    auto object = ordered_json::object();
    for (const auto& [key, member] : *record) object[key] = json_of(member);
    return object;
  }
  return nullptr;
}

}  // namespace

std::string json_text(const Value& value, int indent) {
  return json_of(value).dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

Value value_of(const nlohmann::json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    Value::List list;
    for (const auto& entry : json) list.push_back(value_of(entry));
    return list;
  }
  if (!json.is_object()) return {};
  Value::Record record;
  for (const auto& [key, member] : json.items()) record.emplace_back(key, value_of(member));
  return record;
}

}  // namespace p11shim
