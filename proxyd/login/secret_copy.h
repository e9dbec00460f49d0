// A copy of bytes that may hold a PIN or a key: its memory is wiped.
#pragma once

#include <cstdint>
#include <span>

#include "wire/buffer.h"

namespace p11shim {

inline Buffer secret_copy(std::span<const std::uint8_t> bytes) {
  Buffer copy;
  copy.mark_secret();
  copy.append(bytes.data(), bytes.size());
  return copy;
}
inline Buffer secret_copy(const Buffer& buffer) { return secret_copy(buffer.bytes()); }

}  // namespace p11shim
