#include "secret_traces.h"

#include <cctype>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace p11shim {

namespace {

// One text per byte, joined.
template <class Write>
std::string joined(std::string_view bytes, std::string_view separator, Write write) {
  std::string text;
  for (const char byte : bytes) {
    if (!text.empty()) text += separator;
    text += write(static_cast<unsigned char>(byte));
  }
  return text;
}

std::string printed(const char* format, unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

auto as(const char* format) {
  return [format](unsigned byte) { return printed(format, byte); };
}

// What of `bytes` is the same whatever comes before and after, if they begin at offset `skip` of a group of
// three.
std::string base64_core(std::string_view bytes, unsigned skip) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  bytes.remove_prefix((3 - skip) % 3);
  std::string text;
  for (; bytes.size() >= 3; bytes.remove_prefix(3)) {
    unsigned group = 0;
    for (const char byte : bytes.substr(0, 3)) group = group << 8 | static_cast<unsigned char>(byte);
    for (const int shift : {18, 12, 6, 0}) text += kAlphabet[group >> shift & 63];
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> forms_of(const std::string& value) {
  std::vector<std::pair<std::string, std::string>> forms{
      {"as it is", value},
      {"in hexadecimal", joined(value, "", as("%02x"))},
      {"in upper-case hexadecimal", joined(value, "", as("%02X"))},
      {"in hexadecimal with spaces", joined(value, " ", as("%02x"))},
      {"in upper-case hexadecimal with spaces", joined(value, " ", as("%02X"))},
      {"in hexadecimal with colons", joined(value, ":", as("%02x"))},
      {"as C escapes", joined(value, "", as("\\x%02x"))},
      {"as a list of C numbers", joined(value, ", ", as("0x%02x"))},
      {"as a list of numbers", joined(value, ", ", as("%u"))},
      {"as a list of numbers without spaces", joined(value, ",", as("%u"))},
  };
  for (const unsigned skip : {0u, 1u, 2u}) forms.emplace_back("in Base64", base64_core(value, skip));
  return forms;
}

}  // namespace

std::vector<std::string> traces_in(std::string_view text, std::span<const Secret> secrets) {
  std::vector<std::string> traces;
  for (const auto& secret : secrets) {
    if (secret.value.size() < 8) throw std::invalid_argument(secret.what + " is too short to be searched for");
    for (const auto& [form, pattern] : forms_of(secret.value)) {
      if (text.find(pattern) != std::string_view::npos) traces.push_back(secret.what + " " + form);
    }
  }
  return traces;
}

}  // namespace p11shim
