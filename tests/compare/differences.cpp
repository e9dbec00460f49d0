#include "differences.h"

#include <fnmatch.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace p11shim::compare {
namespace {

std::string trimmed(std::string text) {
  const auto ignored = [](char c) { return c == ' ' || c == '`'; };
  text.erase(text.begin(), std::ranges::find_if_not(text, ignored));
  while (!text.empty() && ignored(text.back())) text.pop_back();
  return text;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) cells.push_back(trimmed(cell));
  return cells;
}

bool matches(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

}  // namespace

AllowedDifferences AllowedDifferences::parse(const std::string& markdown) {
  static const std::vector<std::string> kHeader = {"function", "field", "backend", "direct", "proxied", "case", "why"};
  AllowedDifferences allowed;
  bool inside = false;
  std::istringstream stream(markdown);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with('|')) {
      inside = false;
      continue;
    }
    const std::vector<std::string> cells = cells_of(line);
    if (cells == kHeader) {
      inside = true;
      continue;
    }
    if (!inside || line.starts_with("|-") || line.starts_with("| -")) continue;
    if (cells.size() != kHeader.size() || std::ranges::any_of(cells, &std::string::empty))
      throw std::runtime_error("not a row of the table of differences: " + line);
    allowed.rows_.push_back({cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]});
  }
  return allowed;
}

AllowedDifferences AllowedDifferences::read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::stringstream text;
  text << file.rdbuf();
  return parse(text.str());
}

bool AllowedDifferences::allows(const Difference& difference, const std::string& backend) const {
  return std::ranges::any_of(rows_, [&](const Row& row) {
    const bool covers = matches(row.function, difference.function) && matches(row.field, difference.field) &&
                        matches(row.backend, backend) && matches(row.direct, difference.direct) &&
                        matches(row.proxied, difference.proxied) && matches(row.test_case, difference.test_case);
    row.used |= covers;
    return covers;
  });
}

std::vector<std::string> AllowedDifferences::unused(const std::string& backend) const {
  std::vector<std::string> unused;
  for (const Row& row : rows_)
    if (!row.used && matches(row.backend, backend))
      unused.push_back(row.function + " | " + row.field + " | " + row.backend + " | " + row.direct + " | " +
                       row.proxied + " | " + row.test_case);
  return unused;
}

}  // namespace p11shim::compare
