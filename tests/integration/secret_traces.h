// The forms in which a secret could end up in a log: as it is, in hexadecimal, in Base64, as a list of
// numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p11shim {

struct Secret {
  std::string what;   // "the user's PIN"
  std::string value;  // its bytes; at least 8, so that chance finds none
};

// "the user's PIN in Base64" for each form of each secret that `text` contains.
std::vector<std::string> traces_in(std::string_view text, std::span<const Secret> secrets);

}  // namespace p11shim
