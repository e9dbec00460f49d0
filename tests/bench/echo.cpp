#include "echo.h"

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

}  // namespace

void serve_echo(const std::string& socket_path) {
  const sockaddr_un where = address(socket_path);
  const int listener = stream_socket();
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0 || ::listen(listener, 64) != 0) {
    throw std::runtime_error("cannot listen on " + socket_path);
  }
  std::puts("ok");
  std::fflush(stdout);
  while (true) std::thread(answer, ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)).detach();
}

EchoClient::EchoClient(const std::string& socket_path) : fd_(stream_socket()) {
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
