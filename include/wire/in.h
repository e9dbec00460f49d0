// A bounded pull reader for msgpack. It never allocates and never copies: byte strings are views of the message.
// Failure sticks: after the first malformed or unexpected value every read gives a zero or an empty view and ok() is
// false, so a caller may read a whole message and check once. Nothing may be done with what was read before ok() was seen.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace p11shim {

class In {
 public:
  In() = default;
  explicit In(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint64_t uint() {
    const std::uint8_t tag = byte();
    if (tag <= 0x7f) return tag;
    switch (tag) {
      case 0xcc: return big_endian(1);
      case 0xcd: return big_endian(2);
      case 0xce: return big_endian(4);
      case 0xcf: return big_endian(8);
      default: fail(); return 0;
    }
  }
  // An unsigned integer of at most `max`.
  std::uint64_t uint_max(std::uint64_t max) {
    const std::uint64_t value = uint();
    if (value > max) fail();
    return ok_ ? value : 0;
  }
  bool boolean() {
    const std::uint8_t tag = byte();
    if (tag != 0xc2 && tag != 0xc3) fail();
    return ok_ && tag == 0xc3;
  }
  // Consumes a nil if one is next.
  bool nil_if() {
    if (!ok_ || at_ == end_ || *at_ != 0xc0) return false;
    ++at_;
    return true;
  }
  void nil() {
    if (!nil_if()) fail();
  }
  // The number of elements of an array of at most `max`; each takes at least one byte, so it is bounded by the message too.
  std::size_t array(std::size_t max) {
    const std::uint8_t tag = byte();
    std::uint64_t count = 0;
    if ((tag & 0xf0) == 0x90) count = tag & 0x0f;
    else if (tag == 0xdc) count = big_endian(2);
    else if (tag == 0xdd) count = big_endian(4);
    else fail();
    if (count > max || count > static_cast<std::uint64_t>(end_ - at_)) fail();
    return ok_ ? static_cast<std::size_t>(count) : 0;
  }
  // An array of exactly `count` elements.
  void array_of(std::size_t count) {
    if (array(count) != count) fail();
  }
  std::span<const std::uint8_t> bin(std::size_t max = SIZE_MAX) {
    const std::uint8_t tag = byte();
    std::uint64_t size = 0;
    if (tag == 0xc4) size = big_endian(1);
    else if (tag == 0xc5) size = big_endian(2);
    else if (tag == 0xc6) size = big_endian(4);
    else fail();
    return take(size, max);
  }
  std::string_view str(std::size_t max) {
    const std::uint8_t tag = byte();
    std::uint64_t size = 0;
    if ((tag & 0xe0) == 0xa0) size = tag & 0x1f;
    else if (tag == 0xd9) size = big_endian(1);
    else if (tag == 0xda) size = big_endian(2);
    else if (tag == 0xdb) size = big_endian(4);
    else fail();
    const auto bytes = take(size, max);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // Consumes a reference to bytes in an area (area.h) if one is next; what it says is not bounded yet.
  bool reference_if(std::uint32_t& offset, std::uint32_t& size) {
    if (peek() != 0xd7) return false;
    byte();
    if (byte() != kReference) fail();
    offset = static_cast<std::uint32_t>(big_endian(4));
    size = static_cast<std::uint32_t>(big_endian(4));
    return true;
  }
  // Passes over one value, whatever it is.
  void skip() {
    for (std::size_t left = 1; left != 0 && ok_; --left) {
      const std::uint8_t tag = peek();
      if (next_is_uint()) uint();
      else if (tag == 0xc0 || tag == 0xc2 || tag == 0xc3) byte();
      else if (tag >= 0xc4 && tag <= 0xc6) bin();
      else if ((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd) left += array(SIZE_MAX);
      else str(SIZE_MAX);
    }
  }

  static constexpr std::uint8_t kReference = 1;  // the type of msgpack's extension

  void fail() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t remaining() const { return ok_ ? static_cast<std::size_t>(end_ - at_) : 0; }
  // Well-formed, and nothing is left over.
  [[nodiscard]] bool done() const { return ok_ && at_ == end_; }
  // The next value's first byte tells whether it is a nil, an integer, …; 0xc1 (never used by msgpack) at the end.
  [[nodiscard]] std::uint8_t peek() const { return ok_ && at_ != end_ ? *at_ : 0xc1; }
  [[nodiscard]] bool next_is_uint() const {
    const std::uint8_t tag = peek();
    return tag <= 0x7f || (tag >= 0xcc && tag <= 0xcf);
  }

 private:
  std::uint8_t byte() {
    if (!ok_ || at_ == end_) {
      fail();
      return 0xc1;
    }
    return *at_++;
  }
  std::uint64_t big_endian(int size) {
    if (!ok_ || end_ - at_ < size) {
      fail();
      return 0;
    }
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | *at_++;
    return value;
  }
  std::span<const std::uint8_t> take(std::uint64_t size, std::size_t max) {
    if (!ok_ || size > max || size > static_cast<std::uint64_t>(end_ - at_)) {
      fail();
      return {};
    }
    const std::span<const std::uint8_t> bytes(at_, static_cast<std::size_t>(size));
    at_ += size;
    return bytes;
  }

  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  bool ok_ = true;
};

}  // namespace p11shim
