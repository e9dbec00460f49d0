// Frames over non-blocking stream sockets, for connections and lanes alike.
#pragma once

#include <cstdint>
#include <span>

#include "wire/buffer.h"

namespace p11shim {

// Sends `head` and `body` with one system call; what the socket did not take is appended to `unsent` (and everything is,
// if `unsent` holds something already). A small body is appended to `head` first: one piece costs the kernel less than
// two. False: the peer is gone.
bool send_parts(int socket, Buffer& head, std::span<const std::uint8_t> body, Buffer& unsent);
// Sends on what is left. False: the peer is gone.
bool send_buffered(int socket, Buffer& unsent);

// Lets large messages pass with few wake-ups: as much as the system allows.
void enlarge_buffers(int socket);

enum class Received : std::uint8_t { partial, frame, closed, malformed };

// Reads what is there into `input`; `frame` once `input` starts with a whole frame (it may hold more behind it).
// Malformed: an empty frame, or one longer than `largest` bytes; nothing of it is allocated for.
Received receive_frame(int socket, Buffer& input, std::size_t largest);

}  // namespace p11shim
