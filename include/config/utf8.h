// Text of unknown origin, character by character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace p11shim {

struct Utf8Character {
  char32_t value = 0;
  std::size_t length = 0;  // in bytes; 0: the first byte belongs to no valid character
};

// The first character of `text`, which is not empty. Overlong forms, surrogates and values above U+10FFFF are invalid (RFC 3629).
inline Utf8Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size()) return {};
  char32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return {};
    value = value << 6 | (next & 0x3F);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xD800 && value < 0xE000;
  if (overlong || surrogate || value > 0x10FFFF) return {};
  return {value, length};
}

}  // namespace p11shim
