// Wakes the loop when somebody has put a message into one of its rings: an eventfd that the sender rings. It says no more than
// that; the loop looks at all its rings then.
#pragma once

#include <memory>

#include "proxyd/loop/handles.h"
#include "proxyd/loop/ring_watch.h"

namespace p11shim {

class Bell {
 public:
  // Null: there is none to be had; everything goes on without.
  static std::unique_ptr<Bell> make(uv_loop_t& loop, RingWatch& watch);
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  ~Bell();

  // For those who ring; this one's to close.
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  Bell(uv_loop_t& loop, RingWatch& watch, int descriptor);
  void rung();

  uv_loop_t& loop_;
  RingWatch& watch_;
  const int descriptor_;
  bool at_each_ring_ = false;
  Poll poll_;
};

}  // namespace p11shim
