#include "proxyd/control/request_line.h"

#include <utility>

namespace p11shim {

std::optional<ControlRequest> read_request_line(std::string_view line) {
  nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) return std::nullopt;
  ControlRequest request{json["command"].get<std::string>()};
  if (!json.contains("arguments")) return request;
  if (!json["arguments"].is_object()) return std::nullopt;
  request.arguments = std::move(json["arguments"]);
  return request;
}

}  // namespace p11shim
