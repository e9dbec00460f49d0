// The one form of all JSON that shimctl writes: {"schema":"p11shim.<command>/<version>","data":…}.
// A version grows when a program that read the former one could misread the new one.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace p11shim {

enum class JsonLayout : std::uint8_t { kIndented, kOneLine };

inline void write_envelope(std::ostream& out, const std::string& command, int version,
                           const nlohmann::json& data, JsonLayout layout = JsonLayout::kIndented) {
  const nlohmann::json envelope{{"schema", "p11shim." + command + "/" + std::to_string(version)},
                                {"data", data}};
  const int indent = layout == JsonLayout::kIndented ? 2 : -1;
  out << envelope.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace p11shim
