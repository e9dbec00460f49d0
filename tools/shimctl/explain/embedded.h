// The files of data/, compiled in.
#pragma once

#include <span>
#include <string_view>

namespace p11shim {

struct EmbeddedText {
  std::string_view file;  // "codes_key.toml"
  std::string_view text;
};

std::span<const EmbeddedText> embedded_texts();

}  // namespace p11shim
