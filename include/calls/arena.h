// Memory for the arguments of one call in a worker: C structs, copies and output buffers, all freed at once.
// Small calls reuse one block and allocate nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "wire/buffer.h"
#include "wire/limits.h"

namespace p11shim {

class Arena {
 public:
  Arena() : block_(static_cast<std::uint8_t*>(std::malloc(kBlock))) {
    if (block_ == nullptr) throw std::bad_alloc();
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    clear();
    std::free(spare_.memory);
    std::free(block_);
  }

  // Uninitialised memory, aligned for every fundamental type. Never null; throws std::bad_alloc.
  void* allocate(std::size_t size) {
    const std::size_t rounded = (size + kAlignment - 1) & ~(kAlignment - 1);
    if (rounded >= size && rounded <= kBlock - used_) {
      void* place = block_ + used_;
      used_ += rounded;
      return place;
    }
    if (size > kMost - held_) throw std::bad_alloc();
    if (large_.size() == large_.capacity()) large_.reserve(std::max<std::size_t>(8, 2 * large_.size()));
    const Large large = size <= spare_.size ? std::exchange(spare_, {}) : Large{std::malloc(size), size, size};
    if (large.memory == nullptr) throw std::bad_alloc();
    held_ += size;
    large_.push_back({large.memory, large.size, size});
    return large.memory;
  }
  // `count` zeroed values.
  template <class T>
  T* make(std::size_t count = 1) {
    static_assert(std::is_trivial_v<T>);
    void* place = allocate(count * sizeof(T));
    std::memset(place, 0, count * sizeof(T));
    return static_cast<T*>(place);
  }
  std::uint8_t* bytes(std::size_t size) { return static_cast<std::uint8_t*>(allocate(size)); }

  // From now on until clear(): what is freed is overwritten first.
  void mark_secret() { secret_ = true; }
  // Of that memory no more than the first `size` bytes were written, and what a module may leave behind them: applications
  // hand in large buffers for small results, which need not all be wiped.
  void only_start_used(const void* memory, std::size_t size) {
    for (Large& large : large_)
      if (large.memory == memory) large.used = std::min(large.used, size + kLeftBehind);
  }
  void clear() {
    if (secret_) wipe(block_, used_);
    for (const Large& large : large_) {
      if (secret_) wipe(large.memory, large.used);
      if (large.size > kMostSpare || large.size <= spare_.size) {
        std::free(large.memory);
      } else {
        std::free(spare_.memory);
        spare_ = large;
      }
    }
    large_.clear();
    held_ = 0;
    used_ = 0;
    secret_ = false;
  }

 private:
  static constexpr std::size_t kBlock = 32 << 10;
  static constexpr std::size_t kMost = 4 * limits::kMaxFrame;  // of one call: a short request can ask for much room
  static constexpr std::size_t kLeftBehind = 4096;
  static constexpr std::size_t kAlignment = alignof(std::max_align_t);
  // Many applications hand in the same large buffer with each small call.
  static constexpr std::size_t kMostSpare = (1 << 20) + 4096;
  struct Large {
    void* memory;
    std::size_t size;
    std::size_t used;  // its first bytes, which hold something
  };
  Large spare_{};  // of an earlier call
  std::uint8_t* block_;
  std::size_t used_ = 0;
  std::vector<Large> large_;
  std::size_t held_ = 0;  // in large_
  bool secret_ = false;
};

}  // namespace p11shim
