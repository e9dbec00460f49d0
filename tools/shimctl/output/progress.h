// How far a long piece of work is, on stderr: a bar with the time that is left where a person looks, lines of
// JSON with --progress json, nothing otherwise. Work that ends within a second shows nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = Clock::time_point (*)();

  // `total` 0: nobody knows. `unit`: "B", "objects".
  Progress(const Invocation& invocation, std::string what, std::uint64_t total, std::string unit,
           Now now = &Clock::now);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::uint64_t by);

 private:
  void show(Clock::time_point time);

  std::ostream& err_;
  ProgressMode mode_;
  std::string what_;
  std::uint64_t total_;
  std::string unit_;
  Now now_;
  Clock::time_point start_;
  Clock::time_point next_;
  std::uint64_t done_ = 0;
  bool shown_ = false;
};

}  // namespace p11shim
