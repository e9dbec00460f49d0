#include "proxyd/control/request_line.h"

#include <utility>

namespace p11shim {

std::optional<ControlRequest> read_request_line(std::string_view line) {
  nlohmann::json message = nlohmann::json::parse(line, nullptr, false);
  if (!message.is_object() || !message.contains("command") || !message["command"].is_string()) return std::nullopt;
  ControlRequest request{message["command"].get<std::string>()};
  if (!message.contains("arguments")) return request;
  if (!message["arguments"].is_object()) return std::nullopt;
  request.arguments = std::move(message["arguments"]);
  return request;
}

}  // namespace p11shim
