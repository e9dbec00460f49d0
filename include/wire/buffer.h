// A growable byte buffer that never initialises what it hands out, keeps its memory when cleared, and can wipe itself.
// It is the stream that msgpack::packer writes to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <utility>

namespace p11shim {

// Overwrites memory in a way that the compiler may not remove.
inline void wipe(void* memory, std::size_t size) noexcept {
  if (size != 0) explicit_bzero(memory, size);
}

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (secret_) wipe(data_, capacity_);
    std::free(data_);
  }

  // Appends `size` uninitialised bytes and returns where they start. Throws std::bad_alloc.
  std::uint8_t* extend(std::size_t size) {
    reserve(size_ + size);
    std::uint8_t* place = data_ + size_;
    size_ += size;
    return place;
  }
  void append(const void* bytes, std::size_t size) {
    if (size != 0) std::memcpy(extend(size), bytes, size);
  }
  void write(const char* bytes, std::size_t size) { append(bytes, size); }  // msgpack's name for it

  void reserve(std::size_t wanted) {
    if (wanted <= capacity_) return;
    std::size_t grown = capacity_ == 0 ? 256 : capacity_;
    while (grown < wanted) grown *= 2;
    auto* memory = static_cast<std::uint8_t*>(std::malloc(grown));
    if (memory == nullptr) throw std::bad_alloc();
    if (size_ != 0) std::memcpy(memory, data_, size_);
    if (secret_) wipe(data_, capacity_);
    std::free(data_);
    data_ = memory;
    capacity_ = grown;
  }

  // From now on its memory is overwritten whenever it is cleared, moved or freed.
  void mark_secret() { secret_ = true; }
  [[nodiscard]] bool is_secret() const { return secret_; }
  void clear() {
    if (secret_) wipe(data_, size_);
    secret_ = false;
    size_ = 0;
  }
  // Drops the first `count` bytes.
  void consume(std::size_t count) {
    std::memmove(data_, data_ + count, size_ - count);
    size_ -= count;
    if (secret_) wipe(data_ + size_, count);
  }
  // Gives back the end of what extend() handed out, unwritten.
  void resize_down(std::size_t size) { size_ = size; }
  // Gives memory above `keep` bytes back, so that one large message is not paid for ever after.
  void trim(std::size_t keep) {
    if (size_ != 0 || capacity_ <= keep) return;
    if (secret_) wipe(data_, capacity_);
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(secret_, other.secret_);
  }

  [[nodiscard]] std::uint8_t* data() { return data_; }
  [[nodiscard]] const std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool secret_ = false;
};

}  // namespace p11shim
