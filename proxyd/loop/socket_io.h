// Frames over non-blocking streams: sockets for connections, pairs of pipes for lanes (a round trip over pipes costs the
// kernel two thirds of one over a unix socket). The process ignores SIGPIPE.
#pragma once

#include <cstdint>
#include <span>

#include "wire/buffer.h"

namespace p11shim {

struct Stream {
  int in = -1;
  int out = -1;  // of a socket the same
};

// Sends `head` and `body` with one system call; what the stream did not take is appended to `unsent` (and everything is,
// if `unsent` holds something already). A small body is appended to `head` first: one piece costs the kernel less than
// two. False: the peer is gone.
bool send_parts(const Stream& stream, Buffer& head, std::span<const std::uint8_t> body, Buffer& unsent);
// Sends on what is left. False: the peer is gone.
bool send_buffered(const Stream& stream, Buffer& unsent);

// One message with a descriptor, or without if that is -1, at once and whole. False: it was not sent.
bool send_with_descriptor(int socket, const void* bytes, std::size_t size, int descriptor);

// Lets large messages pass with few wake-ups: as much as the system allows.
void enlarge_buffers(int socket);

enum class Received : std::uint8_t { partial, frame, closed, malformed };

// Reads what is there into `input`; `frame` once `input` starts with a whole frame (it may hold more behind it).
// Malformed: an empty frame, or one longer than `largest` bytes; nothing of it is allocated for.
Received receive_frame(const Stream& stream, Buffer& input, std::size_t largest);

}  // namespace p11shim
