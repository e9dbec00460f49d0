// The two kinds of reply on the control socket, and their form on the wire.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "proxyd/control/control.h"

namespace p11shim {

inline nlohmann::json ok_reply(nlohmann::json result) { return {{"ok", true}, {"result", std::move(result)}}; }

inline nlohmann::json error_reply(const ControlError& error) {
  return {{"ok", false}, {"error", {{"code", error.code}, {"message", error.message}, {"fix", error.fix}}}};
}

// One line of ASCII: text that is no valid UTF-8 (a program's name may be anything) shows replacement
// characters.
inline std::string reply_line(const nlohmann::json& reply) {
  return reply.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace p11shim
