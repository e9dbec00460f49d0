#include "proxyd/audit/json_text.h"

#include <algorithm>
#include <cstdint>

#include "config/utf8.h"

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

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const Utf8Character first = first_character(text);
    const char32_t character = first.length != 0 ? first.value : kReplacement;
    text.remove_prefix(std::max<std::size_t>(first.length, 1));
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
