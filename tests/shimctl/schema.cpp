#include "schema.h"
#include "tests/places.h"

#include <filesystem>
#include <fstream>
#include <regex>

namespace p11shim {

using nlohmann::json;

namespace {

bool has_type(const json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

bool has_type(const json& value, const json& types) {
  if (types.is_string()) return has_type(value, types.get<std::string>());
  for (const auto& type : types) {
    if (has_type(value, type.get<std::string>())) return true;
  }
  return false;
}

std::string check_object(const json& value, const json& schema, const std::string& where);

std::string check(const json& value, const json& schema, const std::string& where) {
  if (schema.contains("type") && !has_type(value, schema["type"])) {
    return where + " is a " + value.type_name() + ", not " + schema["type"].dump();
  }
  if (schema.contains("const") && value != schema["const"]) return where + " is not " + schema["const"].dump();
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end()) {
    return where + " is " + value.dump() + ", not one of " + schema["enum"].dump();
  }
  if (schema.contains("pattern") && value.is_string() &&
      !std::regex_search(value.get<std::string>(), std::regex(schema["pattern"].get<std::string>()))) {
    return where + " is " + value.dump() + ", which does not match " + schema["pattern"].dump();
  }
  if (schema.contains("anyOf")) {
    std::string error;
    for (const auto& one : schema["anyOf"]) {
      const auto differs = check(value, one, where);
      if (differs.empty()) return {};
      error += (error.empty() ? "" : ", or ") + differs;
    }
    return error;
  }
  if (value.is_object()) return check_object(value, schema, where);
  if (value.is_array() && schema.contains("items")) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const auto error = check(value[i], schema["items"], where + "[" + std::to_string(i) + "]");
      if (!error.empty()) return error;
    }
  }
  return {};
}

std::string check_object(const json& value, const json& schema, const std::string& where) {
  for (const auto& key : schema.value("required", json::array())) {
    if (!value.contains(key.get<std::string>())) return where + " lacks " + key.dump();
  }
  const json properties = schema.value("properties", json::object());
  for (const auto& [key, member] : value.items()) {
    std::string error;
    if (properties.contains(key)) {
      error = check(member, properties[key], where + "." + key);
    } else if (const json others = schema.value("additionalProperties", json(true)); others == false) {
      error = where + "." + key + " is not described";
    } else if (others.is_object()) {
      error = check(member, others, where + "." + key);
    }
    if (!error.empty()) return error;
  }
  return {};
}

json schema_called(const std::string& name) {
  std::ifstream text(std::filesystem::path(source_dir()) / "docs/schemas" / (name + ".json"));
  return json::parse(text, nullptr, false);
}

}  // namespace

std::string schema_error(const json& value, const std::string& name) {
  const json schema = schema_called(name);
  return schema.is_object() ? check(value, schema, name) : name + " is no schema";
}

std::string schema_error(const json& envelope) {
  if (!envelope.is_object() || !envelope.contains("schema")) return "no envelope";
  std::string name = envelope["schema"].get<std::string>();
  name = name.substr(0, name.find('/'));
  if (!name.starts_with("p11shim.")) return "a schema of somebody else";
  name.erase(0, std::string("p11shim.").size());
  const bool row = name.ends_with(".row");
  if (row) name.erase(name.size() - 4);
  if (!row) return schema_error(envelope, name);
  const json schema = schema_called(name);
  if (!schema.is_object()) return name + " is no schema";
  for (const auto& [key, property] : schema["properties"]["data"]["properties"].items()) {
    if (property.value("type", json()) == "array") return check(envelope["data"], property["items"], name + ".row");
  }
  return name + " has no rows";
}

}  // namespace p11shim
