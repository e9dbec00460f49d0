// Shared memory for the bulk data of one connection. proxyd makes it and hands it to the application and to the lanes that
// work for it; both map it, proxyd does not. Messages then carry references where they would carry the bytes.
//
// Everything in it may change at any time: the other side, or what has become of it, goes on having it mapped. Only data
// that means nothing to whoever carries it is put there; a reference travels in the message and is bounded when it is read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/buffer.h"
#include "wire/in.h"
#include "wire/out.h"

namespace p11shim {

class Area {
 public:
  static constexpr std::size_t kSize = std::size_t{8} << 20;  // memory is used for what is touched of it

  // A descriptor of new memory of that size, which nobody can make shorter: touching it never faults. -1 and errno.
  static int create();

  Area() = default;
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  ~Area() { unmap(); }

  // Maps what create() made; the descriptor may be closed then. A forked child does not have the mapping, nor does a dump.
  bool map(int descriptor, bool writable = true);
  void unmap();
  [[nodiscard]] bool is_mapped() const { return memory_ != nullptr; }
  [[nodiscard]] std::span<std::uint8_t> bytes() const { return {memory_, memory_ == nullptr ? 0 : kSize}; }
  // Gives the memory above `keep` bytes back; it reads as zeros then.
  void trim(std::size_t keep);

 private:
  std::uint8_t* memory_ = nullptr;
};

// One side's view of an area during one call: what is in use of it, from its start.
class Bulk {
 public:
  static constexpr std::size_t kLeast = 4096;  // fewer bytes travel in the message

  void attach(std::span<std::uint8_t> area) { area_ = area, taken_ = 0; }
  void begin() { taken_ = 0; }
  [[nodiscard]] std::size_t taken() const { return taken_; }

  // Room for `size` bytes behind what is in use; null if there is none, or so little is asked for.
  std::uint8_t* take(std::size_t size) {
    const std::size_t start = (taken_ + kAlignment - 1) & ~(kAlignment - 1);
    if (size < kLeast || start > area_.size() || size > area_.size() - start) return nullptr;
    taken_ = start + size;
    return area_.data() + start;
  }
  // Writes a reference to these bytes, which are copied unless take() gave their place. False: they have to travel.
  bool put(Out& out, const std::uint8_t* bytes, std::size_t size) {
    if (size < kLeast) return false;
    if (!owns(bytes)) {
      std::uint8_t* place = take(size);
      if (place == nullptr) return false;
      std::copy_n(bytes, size, place);
      bytes = place;
    }
    out.reference(static_cast<std::uint32_t>(bytes - area_.data()), static_cast<std::uint32_t>(size));
    return true;
  }
  // A byte string of at most `max` bytes, in the message or in the area.
  std::span<const std::uint8_t> bytes(In& in, std::size_t max) {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    if (!in.reference_if(offset, size)) return in.bin(max);
    if (size < kLeast || size > max || offset > area_.size() || size > area_.size() - offset) in.fail();
    if (!in.ok()) return {};
    taken_ = std::max<std::size_t>(taken_, offset + std::size_t{size});
    return area_.subspan(offset, size);
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  [[nodiscard]] bool owns(const std::uint8_t* bytes) const {
    return bytes >= area_.data() && bytes < area_.data() + area_.size();
  }

  std::span<std::uint8_t> area_;
  std::size_t taken_ = 0;
};

// Appends a message's body with the bytes in place of its references, for those who do not share the area. False: it is malformed,
// or longer than `max` bytes.
bool put_in_line(std::span<const std::uint8_t> body, std::span<const std::uint8_t> area, std::size_t max, Buffer& to);

}  // namespace p11shim
