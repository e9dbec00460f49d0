// The receiving end of sd_notify(3): a datagram socket on which a service says READY=1.
#pragma once

#include <filesystem>

namespace p11shim {

class ReadySocket {
 public:
  explicit ReadySocket(std::filesystem::path path);  // throws Failure
  ~ReadySocket();
  ReadySocket(const ReadySocket&) = delete;
  ReadySocket& operator=(const ReadySocket&) = delete;

  int descriptor() const { return socket_; }
  const std::filesystem::path& path() const { return path_; }

  // Takes what has arrived, without waiting. True once READY=1 was among it.
  bool is_ready();

 private:
  std::filesystem::path path_;
  int socket_;
  bool ready_ = false;
};

}  // namespace p11shim
