#include "echo.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace p11shim {
namespace {

constexpr std::size_t kMessage = 64;
using Message = std::array<char, kMessage>;

sockaddr_un address(const std::string& path) {
  sockaddr_un result{};
  result.sun_family = AF_UNIX;
  if (path.size() >= sizeof result.sun_path) throw std::runtime_error("socket path is too long: " + path);
  std::memcpy(result.sun_path, path.c_str(), path.size() + 1);
  return result;
}

int stream_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

void answer(int fd) {
  Message message;
  while (::read(fd, message.data(), message.size()) == kMessage &&
         ::write(fd, message.data(), message.size()) == kMessage) {
  }
  ::close(fd);
}

int listen_on(const std::string& socket_path) {
  const sockaddr_un where = address(socket_path);
  const int listener = stream_socket();
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 || ::listen(listener, 64) != 0) {
    throw std::runtime_error("cannot listen on " + socket_path);
  }
  std::puts("ok");
  std::fflush(stdout);
  return listener;
}

int connect_tcp(const std::string& endpoint) {
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<std::uint16_t>(std::stoul(endpoint.substr(endpoint.rfind(':') + 1))));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
    throw std::runtime_error("cannot connect to " + endpoint);
  return fd;
}

}  // namespace

void serve_echo(const std::string& socket_path) {
  const int listener = listen_on(socket_path);
  while (true) std::thread(answer, ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)).detach();
}

void serve_echo_in_one_loop(const std::string& socket_path) {
  const int listener = listen_on(socket_path);
  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [loop](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener);
  std::array<epoll_event, 64> ready;
  Message message;
  while (true) {
    const int count = ::epoll_wait(loop, ready.data(), ready.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) watch(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      else if (::read(fd, message.data(), message.size()) != kMessage ||
               ::write(fd, message.data(), message.size()) != kMessage)
        ::close(fd);
    }
  }
}

EchoClient::EchoClient(const std::string& socket_path) : fd_(-1) {
  if (socket_path.starts_with("tcp:")) {
    fd_ = connect_tcp(socket_path);
    return;
  }
  fd_ = stream_socket();
  const sockaddr_un where = address(socket_path);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
    throw std::runtime_error("cannot connect to " + socket_path);
  }
}

EchoClient::~EchoClient() {
  if (fd_ >= 0) ::close(fd_);
}

void EchoClient::round_trip() {
  Message message{};
  if (::write(fd_, message.data(), message.size()) != kMessage ||
      ::read(fd_, message.data(), message.size()) != kMessage) {
    throw std::runtime_error("the echo server is gone");
  }
}

}  // namespace p11shim
