// What proxyd itself reads in bodies that it otherwise passes on unread. Nothing of them is trusted.
#pragma once

#include <span>

#include "calls/lane_calls.h"
#include "wire/message.h"

namespace p11shim {

// C_Login and C_LoginUser but for the session.
struct LoginArguments {
  std::uint64_t user = 0;
  Buffer pin;        // encoded, secret
  Buffer user_name;  // encoded; empty for C_Login
  bool well_formed = false;
};
LoginArguments read_login(std::span<const std::uint8_t> body, bool with_name);

// The header repeats the mechanism for us. We keep book of operations, decide and audit by it: it must be true.
bool names_its_mechanism(const Request& request);

// After an OutBytes argument with CKR_OK: the length alone, without bytes, answers a length query (§5.2).
bool answers_length_query(std::span<const std::uint8_t> body);

// The mechanism at the begin of `body` has a nonce or IV that the module is to make.
bool leaves_nonce_to_module(std::span<const std::uint8_t> body);

// The description of one object in an annex.
bool find_description(std::span<const std::uint8_t> annex, std::uint64_t real, Description& description);

}  // namespace p11shim
