// A buffer as an application owns it, between two guard zones, all of it filled with a known pattern:
// afterwards it tells whether a module wrote where it should not have.
#pragma once

#include <vector>

#include "bytes.h"

namespace p11shim::compare {

class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t size);

  CK_BYTE* data() { return memory_.data() + kGuard; }
  const CK_BYTE* data() const { return memory_.data() + kGuard; }
  std::size_t size() const { return size_; }

  // Puts the application's own bytes at the front (in-place operations); they count as untouched.
  void preset(std::span<const CK_BYTE> bytes);

  bool guards_intact() const;
  // Whether any byte of the buffer from `offset` on was changed.
  bool changed_from(std::size_t offset) const;
  Bytes front(std::size_t length) const;

 private:
  // Wide: some modules write whole values over buffers that are too small for them.
  static constexpr std::size_t kGuard = 1024;
  std::size_t size_;
  Bytes memory_;
  Bytes before_;
};

}  // namespace p11shim::compare
