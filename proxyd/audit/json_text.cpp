#include "proxyd/audit/json_text.h"

#include <cstdint>

namespace p11shim {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

void append_unit(std::string& out, std::uint32_t unit) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[unit >> shift & 0xF];
}

void append_escaped(std::string& out, char32_t character) {
  if (character < 0x10000) return append_unit(out, character);
  append_unit(out, 0xD800 + ((character - 0x10000) >> 10));
  append_unit(out, 0xDC00 + ((character - 0x10000) & 0x3FF));
}

// Takes one character off the front of `text`, which is not empty; an invalid byte is taken alone.
// Overlong forms, surrogates and values above U+10FFFF are invalid (RFC 3629).
char32_t take_character(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || length > text.size()) {
    text.remove_prefix(1);
    return kReplacement;
  }
  char32_t character = length == 1 ? lead : lead & (0xFF >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) {
      text.remove_prefix(1);
      return kReplacement;
    }
    character = character << 6 | (next & 0x3F);
  }
  const bool overlong = (length == 3 && character < 0x800) || (length == 4 && character < 0x10000);
  const bool surrogate = character >= 0xD800 && character < 0xE000;
  if (overlong || surrogate || character > 0x10FFFF) {
    text.remove_prefix(1);
    return kReplacement;
  }
  text.remove_prefix(length);
  return character;
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char32_t character = take_character(text);
    if (character == '"' || character == '\\') {
      out += '\\';
      out += static_cast<char>(character);
    } else if (character >= 0x20 && character < 0x7F) {
      out += static_cast<char>(character);
    } else {
      append_escaped(out, character);
    }
  }
  out += '"';
}

}  // namespace p11shim
