#include "tools/shimctl/run/ready_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/shimctl/failure.h"

namespace p11shim {

ReadySocket::ReadySocket(std::filesystem::path path)
    : path_(std::move(path)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path_.string();
  if (socket_ >= 0 && name.size() < sizeof address.sun_path) {
    std::memcpy(address.sun_path, name.data(), name.size());
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  }
  const int error = errno;
  ::close(socket_);
  throw Failure(ExitCode::kConfiguration, "cannot bind " + name + ": " + std::generic_category().message(error), "");
}

ReadySocket::~ReadySocket() { ::close(socket_); }

bool ReadySocket::is_ready() {
  std::array<char, 4096> buffer;
  for (ssize_t length; (length = ::recv(socket_, buffer.data(), buffer.size(), 0)) > 0;) {
    const std::string message = '\n' + std::string(buffer.data(), static_cast<std::size_t>(length)) + '\n';
    ready_ = ready_ || message.find("\nREADY=1\n") != std::string::npos;
  }
  return ready_;
}

}  // namespace p11shim
