// The limit of any proxy over sockets: 64 bytes there and back, with nothing done to them. One connection per calling
// thread; a thread for each of them answers, or one loop answers all.
#pragma once

#include <string>
#include <vector>

namespace p11shim {

// Never return; print "ok" once they listen.
[[noreturn]] void serve_echo(const std::string& socket_path);
[[noreturn]] void serve_echo_in_one_loop(const std::string& socket_path);

class EchoClient {
 public:
  // A path, or "tcp:127.0.0.1:port".
  explicit EchoClient(const std::string& where);
  ~EchoClient();
  EchoClient(EchoClient&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  EchoClient& operator=(EchoClient&&) = delete;

  void round_trip();

 private:
  int fd_;
};

}  // namespace p11shim
