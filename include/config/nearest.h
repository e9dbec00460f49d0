// Finds what somebody who mistyped a word most probably meant.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace p11shim {

// The known word nearest to `word` by edit distance (a swap of neighbours counts once, case not at all);
// empty if none is near enough to be worth proposing.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

// `; did you mean "unix"?`, or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace p11shim
