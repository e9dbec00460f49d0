#include "tools/shimctl/explain/spelling.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "config/nearest.h"

namespace p11shim {

namespace {

char upper(char c) { return static_cast<char>(std::toupper(static_cast<unsigned char>(c))); }

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// "buffer-too small" as "BUFFERTOOSMALL": what all spellings of one name have in common.
std::string bare(std::string_view text, std::string_view prefix) {
  std::string letters;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) letters += upper(c);
  std::string head;
  for (const char c : prefix)
    if (c != '_') head += upper(c);
  // "CKR_OK" and "OK" alike; a name that begins with the prefix's letters by itself does not exist.
  if (letters.size() > head.size() && letters.starts_with(head)) letters.erase(0, head.size());
  return letters;
}

std::size_t find_ignoring_case(std::string_view text, std::string_view words) {
  const auto found = std::search(text.begin(), text.end(), words.begin(), words.end(),
                                 [](char a, char b) { return upper(a) == upper(b); });
  return found == text.end() ? std::string_view::npos : static_cast<std::size_t>(found - text.begin());
}

// Whether a number at `at` is told to be a return code by the word before it: "rv = 0x…", "error: 160".
bool follows_a_word_for_codes(std::string_view line, std::size_t at) {
  while (at > 0 && !is_word(line[at - 1])) --at;
  std::size_t begin = at;
  while (begin > 0 && is_word(line[begin - 1])) --begin;
  std::string word;
  for (const char c : line.substr(begin, at - begin)) word += upper(c);
  constexpr std::string_view kWords[] = {"RV",   "RET",      "RC",      "CKR",   "ERROR",  "ERR",
                                         "CODE", "RETURNED", "RETURNS", "CK_RV", "RESULT", "STATUS"};
  return std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords);
}

struct Hit {
  std::size_t at = 0;
  std::size_t index = 0;
};

void names_in(std::string_view line, std::span<const KnownName> names, std::vector<Hit>& hits) {
  for (std::size_t at = find_ignoring_case(line, "CKR_"); at < line.size();) {
    std::size_t end = at;
    while (end < line.size() && is_word(line[end])) ++end;
    const std::string word = bare(line.substr(at, end - at), "CKR_");
    for (std::size_t i = 0; i < names.size(); ++i)
      if (bare(names[i].name, "CKR_") == word) hits.push_back({at, i});
    const auto next = find_ignoring_case(line.substr(end), "CKR_");
    at = next == std::string_view::npos ? line.size() : end + next;
  }
}

void numbers_in(std::string_view line, std::span<const KnownName> names, std::vector<Hit>& hits) {
  for (std::size_t at = 0; at < line.size();) {
    if (!is_word(line[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < line.size() && is_word(line[end])) ++end;
    const auto number = parse_number(line.substr(at, end - at));
    const bool in_parentheses = at > 0 && line[at - 1] == '(' && line.substr(at, 2) == "0x";
    if (number && *number != 0 && (in_parentheses || follows_a_word_for_codes(line, at)))
      for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].has_value && names[i].value == *number) hits.push_back({at, i});
    at = end;
  }
}

void words_in(std::string_view line, std::span<const OtherWords> others, std::vector<Hit>& hits) {
  for (const OtherWords& other : others) {
    const auto at = find_ignoring_case(line, other.words);
    if (at == std::string_view::npos) continue;
    const auto end = at + other.words.size();
    if ((at == 0 || !is_word(line[at - 1])) && (end == line.size() || !is_word(line[end])))
      hits.push_back({at, other.index});
  }
}

}  // namespace

std::optional<unsigned long> parse_number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  if (hexadecimal) text.remove_prefix(2);
  while (!text.empty() && (upper(text.back()) == 'U' || upper(text.back()) == 'L')) text.remove_suffix(1);
  unsigned long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, hexadecimal ? 16 : 10);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<SpelledName> find_names(std::string_view asked, std::span<const KnownName> names, std::string_view prefix) {
  std::vector<SpelledName> found;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].name == asked) return {{i, Spelling::kExact}};
  if (const auto number = parse_number(asked)) {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i].has_value && names[i].value == *number) found.push_back({i, Spelling::kNumber});
    return found;
  }
  const std::string word = bare(asked, prefix);
  std::vector<std::string> bares;
  bares.reserve(names.size());
  for (const KnownName& name : names) bares.push_back(bare(name.name, prefix));
  for (std::size_t i = 0; i < names.size(); ++i)
    if (bares[i] == word) return {{i, Spelling::kVariant}};
  const std::vector<std::string_view> known(bares.begin(), bares.end());
  const std::string_view near = nearest(word, known);
  for (std::size_t i = 0; i < names.size() && !near.empty(); ++i)
    if (bares[i] == near) return {{i, Spelling::kTypo}};
  return found;
}

std::vector<std::size_t> find_in_line(std::string_view line, std::span<const KnownName> names,
                                      std::span<const OtherWords> others) {
  std::vector<Hit> hits;
  names_in(line, names, hits);
  if (hits.empty()) numbers_in(line, names, hits);
  if (hits.empty()) words_in(line, others, hits);
  std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.at < b.at; });
  std::vector<std::size_t> found;
  for (const Hit& hit : hits)
    if (std::find(found.begin(), found.end(), hit.index) == found.end()) found.push_back(hit.index);
  return found;
}

}  // namespace p11shim
