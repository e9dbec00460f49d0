#include "bytes.h"

namespace p11shim::compare {

Bytes from_hex(std::string_view hex) {
  auto digit = [](char c) { return static_cast<CK_BYTE>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); };
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<CK_BYTE>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  return bytes;
}

std::string to_hex(std::span<const CK_BYTE> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (CK_BYTE byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

Bytes from_text(std::string_view text) { return Bytes(text.begin(), text.end()); }

Bytes pattern(std::size_t size, CK_BYTE seed) {
  Bytes bytes(size);
  std::uint32_t state = 0x9e3779b9u + seed;
  for (CK_BYTE& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<CK_BYTE>(state >> 24);
  }
  return bytes;
}

}  // namespace p11shim::compare
