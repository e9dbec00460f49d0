// Makes connections to proxyd: tries the endpoints in order, beginning with the one that answered last, says
// hello, and opens the application's sessions again at a proxyd that does not know them. One thread dials at
// a time, so that a restarted proxyd is told everything once; while none answers, the others get their answer
// without trying again.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "shim/config.h"
#include "shim/identity.h"
#include "shim/remembered.h"
#include "shim/sessions.h"
#include "shim/socket.h"

namespace p11shim {

class Dialer {
 public:
  // All four outlive the dialer.
  Dialer(const ShimConfig& config, Identity& identity, Sessions& sessions, Remembered& remembered);

  // An established connection to proxyd.
  struct Line {
    std::size_t endpoint;   // index in the configuration
    std::size_t max_frame;  // bytes after the length prefix that this proxyd takes
  };
  // Nothing: no proxyd answers. Gives up early once `given_up` is set. Throws std::bad_alloc.
  std::optional<Line> dial(Socket& socket, const std::atomic<bool>& given_up);
  // All connections go to one proxyd: one to another endpoint than this is of no use any more.
  [[nodiscard]] std::size_t endpoint() const { return endpoint_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  void tell_connected(LogLevel level, std::size_t endpoint) const noexcept;
  std::optional<Line> try_all(Socket& socket);
  // These three give nothing if all is well, or what is not.
  std::string try_one(Socket& socket, Line& line);
  std::string greet(Socket& socket, Line& line, bool& resumed);
  std::string restore(Socket& socket);
  bool restore(Socket& socket, const OpenSession& session);

  const ShimConfig& config_;
  Identity& identity_;
  Sessions& sessions_;
  Remembered& remembered_;
  std::atomic<std::size_t> endpoint_{0};

  std::mutex mutex_;                // guards what follows
  Clock::time_point not_before_{};  // after a failure: nobody tries earlier
  std::chrono::milliseconds backoff_{0};
  bool was_connected_ = false;
  std::string failure_;  // why, for one line in the log
  Buffer out_, in_;
};

}  // namespace p11shim
