// What every part of proxyd that acts on its own needs: the loop and the log. Owned by main.
#pragma once

#include <uv.h>

#include <random>
#include <string>

#include "proxyd/loop/descriptors.h"
#include "proxyd/loop/ring_watch.h"

namespace spdlog {
class logger;
}

namespace p11shim {

struct Runtime {
  uv_loop_t& loop;
  spdlog::logger& log;
  std::string worker_path;    // of proxyd-worker
  std::uint32_t spin_us = 0;  // of the loop and of workers
  std::uint32_t calls = 0;    // of applications, under way
  std::uint64_t events = 0;   // how often a peer had something to say
  bool lane_rings = false;    // small messages to and from workers through shared memory
  int state_lock = -1;        // every worker holds it too while it lives
  bool courteous = false;     // the loop and workers do not interrupt those who wake them
  Descriptors descriptors;
  RingWatch rings;
  std::mt19937_64 random{std::random_device{}()};  // for jitter, nothing else

  [[nodiscard]] std::uint64_t now_ms() const { return uv_now(&loop); }
};

}  // namespace p11shim
