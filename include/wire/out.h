// Writes msgpack values to a Buffer: the encoding itself is msgpack-cxx's.
#pragma once

#include <msgpack/pack.hpp>

#include <span>
#include <string_view>

#include "wire/buffer.h"
#include "wire/in.h"

namespace p11shim {

class Out {
 public:
  explicit Out(Buffer& buffer) : buffer_(buffer), packer_(buffer) {}

  void uint(std::uint64_t value) { packer_.pack_uint64(value); }
  void boolean(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void nil() { packer_.pack_nil(); }
  void array(std::size_t count) { packer_.pack_array(static_cast<std::uint32_t>(count)); }
  void bin(const void* bytes, std::size_t size) {
    packer_.pack_bin(static_cast<std::uint32_t>(size));
    buffer_.append(bytes, size);
  }
  void bin(std::span<const std::uint8_t> bytes) { bin(bytes.data(), bytes.size()); }
  // Writes the header of a bin and returns where its `size` bytes are to be put.
  std::uint8_t* bin_space(std::size_t size) {
    packer_.pack_bin(static_cast<std::uint32_t>(size));
    return buffer_.extend(size);
  }
  // Bytes that are in an area (area.h).
  void reference(std::uint32_t offset, std::uint32_t size) {
    const std::uint64_t both = std::uint64_t{offset} << 32 | size;
    std::uint8_t bytes[sizeof both];
    for (std::size_t i = 0; i < sizeof both; ++i) bytes[i] = static_cast<std::uint8_t>(both >> (56 - 8 * i));
    packer_.pack_ext(sizeof bytes, In::kReference);
    buffer_.append(bytes, sizeof bytes);
  }
  void str(std::string_view text) {
    packer_.pack_str(static_cast<std::uint32_t>(text.size()));
    buffer_.append(text.data(), text.size());
  }
  // What follows is a secret: the buffer is wiped after use.
  void mark_secret() { buffer_.mark_secret(); }
  [[nodiscard]] Buffer& buffer() { return buffer_; }

 private:
  Buffer& buffer_;
  msgpack::packer<Buffer> packer_;
};

}  // namespace p11shim
