#include "proxyd/loop/socket_io.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "wire/message.h"

namespace p11shim {
namespace {

constexpr std::size_t kFirstRead = 2048;    // an idle peer costs this much
constexpr std::size_t kLargestRead = 1 << 20;  // more is not set aside before it arrives

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

bool send_parts(int socket, std::span<const std::uint8_t> head, std::span<const std::uint8_t> body, Buffer& unsent) {
  std::size_t sent = 0;
  if (unsent.empty()) {
    std::array<iovec, 2> parts{iovec{const_cast<std::uint8_t*>(head.data()), head.size()},
                               iovec{const_cast<std::uint8_t*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = body.empty() ? 1 : 2;
    ssize_t count;
    do count = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count < 0 && !would_block()) return false;
    sent = static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }
  if (sent == head.size() + body.size()) return true;
  unsent.mark_secret();
  if (sent < head.size()) unsent.append(head.data() + sent, head.size() - sent);
  const std::size_t of_body = sent > head.size() ? sent - head.size() : 0;
  unsent.append(body.data() + of_body, body.size() - of_body);
  return true;
}

bool send_buffered(int socket, Buffer& unsent) {
  std::size_t at = 0;
  while (at < unsent.size()) {
    const ssize_t count = ::send(socket, unsent.data() + at, unsent.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && !would_block()) return false;
    if (count <= 0) break;
    at += static_cast<std::size_t>(count);
  }
  if (at == unsent.size()) {
    unsent.clear();
    unsent.trim(0);
  } else if (at != 0) {
    unsent.consume(at);
  }
  return true;
}

Received receive_frame(int socket, Buffer& input, std::size_t largest) {
  for (;;) {
    std::size_t room = kFirstRead;
    if (input.size() >= kLengthPrefix) {
      const std::size_t length = load_length(input.data());
      if (length == 0 || length > largest) return Received::malformed;
      if (input.size() >= kLengthPrefix + length) return Received::frame;
      room = std::min(kLengthPrefix + length - input.size(), kLargestRead);
    }
    room = std::max(room, input.capacity() - input.size());
    const std::size_t before = input.size();
    std::uint8_t* place = input.extend(room);
    const ssize_t count = ::recv(socket, place, room, MSG_DONTWAIT);
    input.resize_down(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return would_block() ? Received::partial : Received::closed;
    if (count == 0) return Received::closed;
  }
}

}  // namespace p11shim
