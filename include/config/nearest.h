// Finds what somebody who mistyped a word most probably meant.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace p11shim {

// The known word nearest to `word` by edit distance (a swap of neighbours counts once, case not at all);
// empty if none is near enough to be worth proposing.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

// How many characters must be changed, added, left out or swapped with their neighbours to make one the
// other, case not counted; of different words longer than 64, the longer one's length.
std::size_t edit_distance(std::string_view a, std::string_view b);

// `; did you mean "unix"?`, or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace p11shim
