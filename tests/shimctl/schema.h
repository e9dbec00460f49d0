// Checks JSON against the part of JSON Schema that docs/schemas uses: type, const, enum, required,
// properties, additionalProperties, items, pattern, anyOf.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace p11shim {

// What is wrong, or nothing. "p11shim.key.list/1" is described by docs/schemas/key.list.json, and a row of
// it, "p11shim.key.list.row/1", by the items of its rows.
std::string schema_error(const nlohmann::json& envelope);

// Of what has no envelope: docs/schemas/NAME.json.
std::string schema_error(const nlohmann::json& value, const std::string& name);

}  // namespace p11shim
