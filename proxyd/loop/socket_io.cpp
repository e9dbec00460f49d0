#include "proxyd/loop/socket_io.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "wire/message.h"

namespace p11shim {
namespace {

constexpr std::size_t kFirstRead = 2048;       // an idle peer costs this much
constexpr std::size_t kLargestRead = 1 << 20;  // more is not set aside before it arrives
constexpr std::size_t kReadAhead = 128 << 10;  // behind the frame under way: it is moved to the front, frame by frame

constexpr std::size_t kSmallBody = 4096;
constexpr int kSocketBuffer = 4 << 20;

ssize_t send_both(int out, std::span<const std::uint8_t> head, std::span<const std::uint8_t> body) {
  const std::array<iovec, 2> parts{iovec{const_cast<std::uint8_t*>(head.data()), head.size()},
                                   iovec{const_cast<std::uint8_t*>(body.data()), body.size()}};
  return ::writev(out, parts.data(), static_cast<int>(parts.size()));
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

bool send_parts(const Stream& stream, Buffer& head, std::span<const std::uint8_t> body, Buffer& unsent) {
  if (body.size() <= kSmallBody) {
    head.append(body.data(), body.size());
    body = {};
  }
  std::size_t sent = 0;
  if (unsent.empty()) {
    ssize_t count;
    do count = body.empty() ? ::write(stream.out, head.data(), head.size()) : send_both(stream.out, head.bytes(), body);
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

bool send_with_descriptor(int socket, const void* bytes, std::size_t size, int descriptor) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  ssize_t sent;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

void enlarge_buffers(int socket) {
  // Beyond the system's limit only with CAP_NET_ADMIN.
  for (const auto& [forced, plain] : {std::pair{SO_SNDBUFFORCE, SO_SNDBUF}, std::pair{SO_RCVBUFFORCE, SO_RCVBUF}})
    if (::setsockopt(socket, SOL_SOCKET, forced, &kSocketBuffer, sizeof kSocketBuffer) != 0)
      ::setsockopt(socket, SOL_SOCKET, plain, &kSocketBuffer, sizeof kSocketBuffer);
}

bool send_buffered(const Stream& stream, Buffer& unsent) {
  std::size_t at = 0;
  while (at < unsent.size()) {
    const ssize_t count = ::write(stream.out, unsent.data() + at, unsent.size() - at);
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

Received receive_frame(const Stream& stream, Buffer& input, std::size_t largest) {
  for (;;) {
    std::size_t room = kFirstRead;
    if (input.size() >= kLengthPrefix) {
      const std::size_t length = load_length(input.data());
      if (length == 0 || length > largest) return Received::malformed;
      if (input.size() >= kLengthPrefix + length) return Received::frame;
      room = std::min(kLengthPrefix + length - input.size(), kLargestRead);
    }
    room = std::max(room, std::min(input.capacity() - input.size(), kReadAhead));
    const std::size_t before = input.size();
    std::uint8_t* place = input.extend(room);
    const ssize_t count = ::read(stream.in, place, room);
    input.resize_down(before + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return would_block() ? Received::partial : Received::closed;
    if (count == 0) return Received::closed;
  }
}

}  // namespace p11shim
