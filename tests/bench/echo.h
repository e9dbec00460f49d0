// The limit of any proxy over unix sockets: 64 bytes there and back, with nothing done to them. One
// connection and one answering thread per calling thread, both blocking.
#pragma once

#include <string>
#include <vector>

namespace p11shim {

// Never returns; prints "ok" once it listens.
[[noreturn]] void serve_echo(const std::string& socket_path);

class EchoClient {
 public:
  explicit EchoClient(const std::string& socket_path);
  ~EchoClient();
  EchoClient(EchoClient&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  EchoClient& operator=(EchoClient&&) = delete;

  void round_trip();

 private:
  int fd_;
};

}  // namespace p11shim
