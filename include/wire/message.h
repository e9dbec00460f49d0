// The messages between shim and proxyd, and between proxyd and a lane: docs/protocol.md describes them byte by byte.
// A frame is a 4-byte little-endian length and that many bytes: one msgpack array whose first element is its kind.
// Header and body are written apart, so that a body can be forwarded from the buffer it arrived in.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "wire/handles.h"

namespace p11shim {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kLengthPrefix = 4;  // bytes

enum class MessageKind : std::uint8_t {
  request = 1,
  reply = 2,
  hello = 3,
  welcome = 4,
  goodbye = 5,
  refusal = 6,  // lane → proxyd only: the request's body is malformed, nothing was called
  area_request = 7,
  area_answer = 8,
  generations_request = 9,
  generations_answer = 10,
  rings_request = 11,
  rings_answer = 12,
  bell_request = 13,
  bell_answer = 14,
};

using Id128 = std::array<std::uint8_t, 16>;

// One call. `body` holds the arguments that are not handles, as the call table encodes them.
struct Request {
  std::uint64_t id = 0;           // chosen by the sender, returned in the reply
  std::uint32_t call = 0;         // number in the call table
  std::uint32_t deadline_ms = 0;  // time left for this call; 0 = the receiver's default
  Id128 trace{};                  // W3C trace id; all zero = none
  bool has_mechanism = false;
  std::uint64_t mechanism = 0;  // CK_MECHANISM_TYPE, repeated here for statistics, policy and audit
  // A C_…Init that goes first in the same session, as one step with the call; 0 = none. The mechanism and all handles but
  // the session are then the Init's: the call itself has none.
  std::uint32_t init = 0;
  std::span<const std::uint8_t> init_body;
  bool ends = false;  // and the operation's C_Message…Final last, if the call has succeeded
  // Types of attributes whose values the sender would like along with the objects that the call names or finds; they may
  // come or not (calls/values.h). Empty = none.
  std::span<const std::uint8_t> wanted;
  Handles handles;
  std::uint64_t area = 0;  // proxyd → lane only: where the body's references lead, and the reply's may; 0 = nowhere
  std::span<const std::uint8_t> body;
};

struct Reply {
  std::uint64_t id = 0;
  std::uint64_t rv = 0;        // CK_RV, the module's own
  std::uint64_t init_rv = 0;   // of the Init that went first; unless it is CKR_OK the call was not executed
  std::uint32_t queue_us = 0;  // microseconds spent waiting in proxyd
  std::uint32_t hsm_us = 0;    // microseconds spent in the module
  Handles handles;
  std::span<const std::uint8_t> body;
  std::span<const std::uint8_t> annex;   // lane → proxyd only: descriptions of objects new to this worker
  std::span<const std::uint8_t> values;  // of attributes that were wanted (calls/values.h)
  bool ended = false;                    // the operation was ended, as asked for with Request::ends
};

// First message of each connection, from the shim.
struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t fingerprint = 0;  // of the call table; must be equal on both sides
  std::uint32_t word_size = 0;    // sizeof(CK_ULONG)
  Id128 instance{};               // the application; all its connections say the same
  Id128 secret{};                 // from the first welcome; zero when the application is new
  Id128 parent{};                 // after fork: the parent's instance, whose secret is then in `secret`
  std::uint32_t pid = 0;
  std::string_view program;
};

// proxyd's answer. With rv != CKR_OK the connection is closed after it and `reason` says why.
struct Welcome {
  std::uint32_t version = kProtocolVersion;
  std::uint64_t fingerprint = 0;
  std::uint64_t rv = 0;
  Id128 secret{};  // proves later connections, and descent after fork
  std::uint64_t max_frame = 0;
  bool resumed = false;  // the application was known (or copied from its parent) with its sessions
  std::string_view reason;
};

// Writers append a whole frame, or for request and reply everything of the frame but its last `body.size()` bytes.
void write_hello(Buffer& to, const Hello& hello);
void write_welcome(Buffer& to, const Welcome& welcome);
void write_goodbye(Buffer& to);
void write_refusal(Buffer& to);
void write_area_request(Buffer& to);
void write_area_answer(Buffer& to, std::uint64_t size);  // 0: no area
bool read_area_answer(std::span<const std::uint8_t> frame, std::uint64_t& size);
void write_rings_request(Buffer& to);
void write_rings_answer(Buffer& to, std::uint64_t size);  // 0: no rings
bool read_rings_answer(std::span<const std::uint8_t> frame, std::uint64_t& size);
void write_bell_request(Buffer& to);
void write_bell_answer(Buffer& to);
void write_generations_request(Buffer& to);
void write_generations_answer(Buffer& to);
void write_request_head(Buffer& to, const Request& request);
void write_reply_head(Buffer& to, const Reply& reply);

// Readers take the bytes of one frame without its length prefix; views point into it. False = malformed.
MessageKind message_kind(std::span<const std::uint8_t> frame);
bool read_hello(std::span<const std::uint8_t> frame, Hello& hello);
bool read_welcome(std::span<const std::uint8_t> frame, Welcome& welcome);
bool read_request(std::span<const std::uint8_t> frame, Request& request);
bool read_reply(std::span<const std::uint8_t> frame, Reply& reply);

std::uint32_t load_length(const std::uint8_t* prefix);

}  // namespace p11shim
