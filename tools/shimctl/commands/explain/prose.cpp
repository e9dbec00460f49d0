#include "tools/shimctl/commands/explain/prose.h"

#include <algorithm>

#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

constexpr std::size_t kWidthOfFiles = 100, kNarrowest = 30, kWidest = 110, kHeading = 12, kNarrow = 50;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

Prose::Prose(std::ostream& out, std::size_t width, bool emphasis)
    : out_(out), width_(width == 0 ? kWidthOfFiles : std::clamp(width, kNarrowest, kWidest)), emphasis_(emphasis) {}

std::string Prose::bold(const std::string& text) const { return emphasis_ ? "\x1b[1m" + text + "\x1b[0m" : text; }

void Prose::title(const std::string& text, const std::string& beside) {
  out_ << bold(terminal_text(text)) << (beside.empty() ? "" : "  " + terminal_text(beside)) << '\n';
}

void Prose::paragraph(const std::string& text) { fill(text, 0, 0); }

// `first` stands on the first line already, in the indentation or over it.
void Prose::fill(const std::string& text, std::size_t indent, std::size_t first) {
  std::string rest = terminal_text(text);
  std::string line(indent > first ? indent - first : 0, ' ');
  std::size_t used = 0;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(' '), rest.size());
    const std::string word = rest.substr(0, end);
    rest.erase(0, std::min(end + 1, rest.size()));
    const std::size_t size = display_width(word);
    if (used > 0 && indent + used + 1 + size > width_) {
      out_ << line << '\n';
      line = std::string(indent, ' ');
      used = 0;
    }
    line += (used > 0 ? " " : "") + word;
    used += size + (used > 0 ? 1 : 0);
  }
  out_ << line << '\n';
}

void Prose::field(const std::string& heading, const std::string& text) {
  if (text.empty()) return;
  if (width_ < kNarrow) {
    out_ << bold(heading) << '\n';
    return fill(text, 2, 0);
  }
  out_ << bold(heading) << ' ';
  fill(text, std::max(kHeading, heading.size() + 1), heading.size() + 1);
}

void Prose::list(const std::string& heading, const std::vector<std::string>& items) {
  if (items.empty()) return;
  out_ << bold(heading) << '\n';
  for (const std::string& item : items) {
    out_ << "  - ";
    fill(item, 4, 4);
  }
}

void Prose::words(const std::string& heading, const std::vector<std::string>& words) { field(heading, join(words)); }

}  // namespace p11shim
