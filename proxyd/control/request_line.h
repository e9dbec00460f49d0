// One line that a control client sends: {"command":"…","arguments":{…}}.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace p11shim {

struct ControlRequest {
  std::string command;
  nlohmann::json arguments = nlohmann::json::object();  // always an object
};

// None: it is something else.
std::optional<ControlRequest> read_request_line(std::string_view line);

}  // namespace p11shim
