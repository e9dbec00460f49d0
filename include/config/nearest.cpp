#include "config/nearest.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "config/problem.h"

namespace p11shim {
namespace {

constexpr std::size_t kLongestWord = 64;  // nobody mistypes a longer one: distance is quadratic

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Optimal string alignment distance.
std::size_t distance(std::string_view a, std::string_view b) {
  using Row = std::array<std::size_t, kLongestWord + 1>;
  Row before{}, previous{}, current{};
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = previous[j - 1] + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      current[j] = std::min({previous[j] + 1, current[j - 1] + 1, substituted});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    before = previous;
    previous = current;
  }
  return previous[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, (word.size() + 1) / 3) + 1;
  for (const std::string_view candidate : known) {
    if (candidate.empty() || candidate.size() > kLongestWord) continue;
    const std::size_t found = distance(word, candidate);
    if (found >= best_distance || found >= candidate.size()) continue;
    best = candidate;
    best_distance = found;
  }
  return best;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  const std::size_t longer = std::max(a.size(), b.size());
  return longer <= kLongestWord ? distance(a, b) : longer;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view meant = nearest(word, known);
  return meant.empty() ? std::string() : "; did you mean " + in_quotes(meant) + "?";
}

}  // namespace p11shim
