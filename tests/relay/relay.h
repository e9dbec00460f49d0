// A relay in front of proxyd that behaves like a network: it delays what passes, limits its rate, takes it apart and breaks
// connections. It listens on a free loopback port and runs on a thread of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace p11shim {

struct Weather {
  std::chrono::microseconds latency{0};   // in each direction
  std::chrono::microseconds jitter{0};    // up to so much more; the order of bytes stays
  std::uint64_t bytes_per_second = 0;     // in each direction of a connection; 0: unlimited
  std::size_t largest_write = 64 << 10;   // what is longer goes on in pieces
  std::uint32_t resets_per_thousand = 0;  // of the pieces that arrive: the connection is reset instead
  std::uint64_t seed = 1;                 // of jitter and resets
};

class Relay {
 public:
  // `target`: "unix:/path" or "tcp:127.0.0.1:port". Throws std::runtime_error.
  Relay(const std::string& target, Weather weather);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // "tcp:127.0.0.1:port", for applications.
  [[nodiscard]] std::string endpoint() const;
  // For connections from now on, and what arrives on those that there are.
  void change(const Weather& weather);
  [[nodiscard]] std::uint64_t resets() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace p11shim
