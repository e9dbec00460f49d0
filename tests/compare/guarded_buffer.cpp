#include "guarded_buffer.h"

#include <algorithm>

namespace p11shim::compare {

GuardedBuffer::GuardedBuffer(std::size_t size)
    : size_(size), memory_(pattern(size + 2 * kGuard, 0xA5)), before_(memory_) {}

void GuardedBuffer::preset(std::span<const CK_BYTE> bytes) {
  std::size_t length = std::min(bytes.size(), size_);
  std::copy_n(bytes.begin(), length, memory_.begin() + kGuard);
  before_ = memory_;
}

bool GuardedBuffer::guards_intact() const {
  return std::equal(memory_.begin(), memory_.begin() + kGuard, before_.begin()) &&
         std::equal(memory_.end() - kGuard, memory_.end(), before_.end() - kGuard);
}

bool GuardedBuffer::changed_from(std::size_t offset) const {
  offset = std::min(offset, size_);
  auto from = static_cast<std::ptrdiff_t>(kGuard + offset);
  return !std::equal(memory_.begin() + from, memory_.end() - kGuard, before_.begin() + from);
}

Bytes GuardedBuffer::front(std::size_t length) const { return Bytes(data(), data() + std::min(length, size_)); }

}  // namespace p11shim::compare
