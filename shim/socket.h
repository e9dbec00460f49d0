// One stream connection to proxyd, used by one thread at a time: that thread connects, sends and receives,
// blocking, with the kernel's own socket timeouts as patience. Other threads may only shut it down. A forked
// child may only close its copy of the descriptor.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>

#include "shim/config.h"
#include "wire/buffer.h"

namespace p11shim {

// 0, 1 and 2 have a meaning of their own, also when they are closed: the same descriptor, which is taken over, with another number.
int keep_descriptor(int descriptor);

// How far a message got.
enum class Transfer {
  done,
  unsent,  // proxyd cannot have read all of it, so it was not executed and may be sent again
  broken,  // nobody knows
  timed_out,
};

class Socket {
 public:
  Socket() = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  // Every wait below ends after `limit`; one that signals interrupt, or that goes on in pieces, after less
  // than twice that.

  // Gives 0 or an errno.
  int connect(const ShimEndpoint& endpoint, std::chrono::milliseconds limit);
  [[nodiscard]] bool is_open() const { return descriptor_.load(std::memory_order_relaxed) >= 0; }
  [[nodiscard]] bool is_local() const { return is_local_; }
  // Differs for every connection that this socket has made.
  [[nodiscard]] std::uint64_t connection() const { return connection_; }

  // Sends a frame that is in two parts.
  Transfer send(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body,
                std::chrono::milliseconds limit);
  // Receives one frame of at most limits::kMaxFrame bytes into `message`, length prefix included, and nothing
  // behind it. Throws std::bad_alloc.
  Transfer receive(Buffer& message, std::chrono::milliseconds limit);
  // The same, with a descriptor that came along: the caller's to close, -1 if there was none.
  Transfer receive(Buffer& message, std::chrono::milliseconds limit, int& descriptor);
  // Something has come, or the end: receive() would not wait.
  [[nodiscard]] bool has_something() const;
  // Waits for proxyd to close the connection, and closes this end. False: it had not in time.
  bool wait_until_closed(std::chrono::milliseconds limit);

  void close();
  // From any thread: whoever waits in this connection finds it closed.
  void shut_down();
  // In a forked child: the parent goes on using the connection.
  void close_inherited();

 private:
  Transfer receive(Buffer& message, std::chrono::milliseconds limit, int* descriptor);
  int set_limit(int option, std::chrono::milliseconds limit);

  std::mutex closing_;  // shut_down() must not hit a descriptor that was closed and means something else by now
  std::atomic<int> descriptor_{-1};
  bool is_local_ = false;
  std::uint64_t connection_ = 0;
  std::chrono::milliseconds limits_[2]{};  // what the kernel was told last, for receiving and for sending
};

}  // namespace p11shim
