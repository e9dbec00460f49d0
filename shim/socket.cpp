#include "shim/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/limits.h"
#include "wire/message.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

constexpr int kFirstDescriptor = 3;
constexpr std::size_t kFirstRead = 8 << 10;  // bytes; most replies fit

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool fill_unix(const std::string& path, Address& address) {
  auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.size() >= sizeof name->sun_path) return false;
  name->sun_family = AF_UNIX;
  std::memcpy(name->sun_path, path.c_str(), path.size() + 1);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return true;
}

bool fill_tcp(const TcpAddress& from, Address& address) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, from.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(from.port);
    address.size = sizeof *v4;
    return true;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, from.host.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(from.port);
  address.size = sizeof *v6;
  return true;
}

// The end of a wait that does not succeed in one piece. The clock is read only then.
class Limit {
 public:
  explicit Limit(milliseconds limit) : limit_(limit) {}
  bool is_over() {
    const auto now = Clock::now();
    if (give_up_ == Clock::time_point{}) give_up_ = now + limit_;
    return now >= give_up_;
  }
  int left() {
    if (is_over()) return 0;
    const auto left = std::chrono::ceil<milliseconds>(give_up_ - Clock::now()).count();
    return static_cast<int>(std::clamp<milliseconds::rep>(left, 0, INT32_MAX));
  }

 private:
  using Clock = std::chrono::steady_clock;
  milliseconds limit_;
  Clock::time_point give_up_{};
};

bool wait_for(int descriptor, short events, Limit& limit) {
  for (;;) {
    pollfd entry{descriptor, events, 0};
    const int ready = poll(&entry, 1, limit.left());
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// Blocks for the socket's send timeout at most. A signal interrupts it; TCP then goes on connecting by
// itself.
int connect_to(int descriptor, const Address& address, Limit& limit) {
  for (;;) {
    if (::connect(descriptor, address.get(), address.size) == 0 || errno == EISCONN) return 0;
    if (errno == EINPROGRESS || errno == EAGAIN) return ETIMEDOUT;
    if (errno != EINTR && errno != EALREADY) return errno;
    const bool goes_on = errno == EALREADY;
    if (limit.is_over() || (goes_on && !wait_for(descriptor, POLLOUT, limit))) return ETIMEDOUT;
  }
}

// A descriptor that came along and could not be received, since this process may have no more of them, is an error (EMFILE): its
// sender believes that it is here.
ssize_t receive_descriptor(int socket, void* place, std::size_t size, int& descriptor) {
  iovec part{place, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof descriptor)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got > 0 && (message.msg_flags & MSG_CTRUNC) != 0) return errno = EMFILE, -1;
  const cmsghdr* header = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len < CMSG_LEN(sizeof descriptor))
    return got;
  if (descriptor >= 0) ::close(descriptor);
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return got;
}

int open_socket(int family) { return keep_descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

}  // namespace

int keep_descriptor(int descriptor) {
  if (descriptor < 0 || descriptor >= kFirstDescriptor) return descriptor;
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstDescriptor);
  ::close(descriptor);
  return moved;
}

int Socket::connect(const ShimEndpoint& endpoint, milliseconds limit) {
  close();
  Address address;
  if (!(endpoint.tcp ? fill_tcp(*endpoint.tcp, address) : fill_unix(endpoint.unix_path, address))) return EINVAL;
  const int descriptor = open_socket(address.storage.ss_family);
  if (descriptor < 0) return errno;
  is_local_ = !endpoint.tcp;
  ++connection_;
  std::fill(std::begin(limits_), std::end(limits_), milliseconds(0));
  descriptor_.store(descriptor, std::memory_order_release);
  const int on = 1;
  if (endpoint.tcp) setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Limit wait(limit);
  int error = set_limit(SO_SNDTIMEO, limit);
  if (error == 0) error = connect_to(descriptor, address, wait);
  if (error != 0) close();
  return error;
}

// The kernel keeps the time, so that a call needs no poll. It is told only what is new: nothing, as a rule.
int Socket::set_limit(int option, milliseconds limit) {
  milliseconds& told = limits_[option == SO_SNDTIMEO];
  if (told == limit) return 0;
  timeval time{};
  time.tv_sec = static_cast<time_t>(limit.count() / 1000);
  time.tv_usec = static_cast<suseconds_t>(limit.count() % 1000 * 1000);
  if (setsockopt(descriptor_.load(std::memory_order_relaxed), SOL_SOCKET, option, &time, sizeof time) != 0)
    return errno;
  told = limit;
  return 0;
}

// On an idle connection: proxyd has closed it, or sent what nobody asked for.
bool Socket::has_something() const {
  std::uint8_t byte;
  const ssize_t got = recv(descriptor_.load(std::memory_order_relaxed), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

// proxyd acts on whole frames only, so that whatever fails before the last byte has left may be sent again.
// The kernel refuses to send to a unix socket that was closed, but not to a TCP connection that was: there it
// has to be asked.
Transfer Socket::send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body, milliseconds limit) {
  if (!is_open() || (!is_local_ && has_something()) || set_limit(SO_SNDTIMEO, limit) != 0) return Transfer::unsent;
  iovec parts[2] = {{const_cast<std::uint8_t*>(head.data()), head.size()},
                    {const_cast<std::uint8_t*>(body.data()), body.size()}};
  std::size_t left = head.size() + body.size();
  Limit wait(limit);
  while (left != 0) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(descriptor_.load(std::memory_order_relaxed), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR)
      return errno == EAGAIN || errno == EWOULDBLOCK ? Transfer::timed_out : Transfer::unsent;
    std::size_t gone = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    left -= gone;
    if (left != 0 && wait.is_over()) return Transfer::timed_out;
    for (iovec& part : parts) {
      const std::size_t of_part = std::min(gone, part.iov_len);
      part = {static_cast<std::uint8_t*>(part.iov_base) + of_part, part.iov_len - of_part};
      gone -= of_part;
    }
  }
  return Transfer::done;
}

Transfer Socket::receive(Buffer& message, milliseconds limit) { return receive(message, limit, nullptr); }

Transfer Socket::receive(Buffer& message, milliseconds limit, int& descriptor) {
  descriptor = -1;
  return receive(message, limit, &descriptor);
}

Transfer Socket::receive(Buffer& message, milliseconds limit, int* came) {
  message.clear();
  if (set_limit(SO_RCVTIMEO, limit) != 0) return Transfer::broken;
  std::size_t wanted = std::max(kFirstRead, message.capacity());
  Limit wait(limit);
  for (;;) {
    const std::size_t before = message.size();
    std::uint8_t* place = message.extend(wanted - before);
    const int descriptor = descriptor_.load(std::memory_order_relaxed);
    const ssize_t got = came == nullptr ? recv(descriptor, place, wanted - before, 0)
                                        : receive_descriptor(descriptor, place, wanted - before, *came);
    const int error = errno;
    message.resize_down(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    // A unix socket says so when its peer closed it without having read everything.
    if (got < 0 && error == ECONNRESET && is_local_ && message.empty()) return Transfer::unsent;
    if (got < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return Transfer::timed_out;
    if (got == 0 || (got < 0 && error != EINTR)) return Transfer::broken;
    if (message.size() >= kLengthPrefix) {
      const std::size_t length = load_length(message.data());
      if (length > limits::kMaxFrame || message.size() > kLengthPrefix + length) return Transfer::broken;
      if (message.size() == kLengthPrefix + length) return Transfer::done;
      wanted = std::max(wanted, kLengthPrefix + length);
    }
    if (wait.is_over()) return Transfer::timed_out;
  }
}

bool Socket::wait_until_closed(milliseconds limit) {
  Limit wait(limit);
  const int descriptor = descriptor_.load(std::memory_order_relaxed);
  std::uint8_t ignored[64];
  bool is_open = descriptor >= 0;
  while (is_open && wait_for(descriptor, POLLIN, wait))
    is_open = recv(descriptor, ignored, sizeof ignored, MSG_DONTWAIT) > 0;
  close();
  return !is_open;
}

void Socket::close() {
  const std::lock_guard lock(closing_);
  close_inherited();
}

void Socket::shut_down() {
  const std::lock_guard lock(closing_);
  const int descriptor = descriptor_.load(std::memory_order_relaxed);
  if (descriptor >= 0) shutdown(descriptor, SHUT_RDWR);
}

void Socket::close_inherited() {
  const int descriptor = descriptor_.exchange(-1, std::memory_order_acq_rel);
  if (descriptor >= 0) ::close(descriptor);
}

}  // namespace p11shim
