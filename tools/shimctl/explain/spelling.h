// What people write when they mean a name of PKCS#11: "CKR_PIN_INCORRECT", "pin-incorrect", "0xa0", "160",
// "pin_incorect", or a line of a log.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p11shim {

struct KnownName {
  std::string_view name;  // "CKR_PIN_INCORRECT"
  unsigned long value = 0;
  bool has_value = true;  // functions have none
};

enum class Spelling : unsigned char { kExact, kNumber, kVariant, kTypo };

struct SpelledName {
  std::size_t index = 0;  // in the names
  Spelling how = Spelling::kExact;
};

// The names that `asked` may mean: several if a number is a name of several; none if nothing is near.
std::vector<SpelledName> find_names(std::string_view asked, std::span<const KnownName> names, std::string_view prefix);

// A number as people write it: "0xa0", "160", "0x000000A0UL".
std::optional<unsigned long> parse_number(std::string_view text);

// Other words for a return code: what libp11, GnuTLS or python-pkcs11 say.
struct OtherWords {
  std::string_view words;
  std::size_t index = 0;
};

// The return codes that a line of a log names, each once, in the line's order: by name, by number after a word
// such as "rv" or in parentheses after a name that is not known, or by another client's words.
std::vector<std::size_t> find_in_line(std::string_view line, std::span<const KnownName> names,
                                      std::span<const OtherWords> others);

}  // namespace p11shim
