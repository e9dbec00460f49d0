#include "tools/shimctl/output/table.h"

#include <algorithm>
#include <stdexcept>

#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

constexpr std::string_view kGap = "  ";

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) throw std::logic_error("a row needs a cell for each column");
  for (auto& cell : cells) cell = terminal_text(cell);
  rows_.push_back(std::move(cells));
}

void Table::write(std::ostream& out, bool emphasis) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].heading);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  const auto line = [&](const auto& cell) {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& content = cell(i);
      const std::string padding(widths[i] - display_width(content), ' ');
      if (i != 0) text += kGap;
      text += columns_[i].align == Align::kRight ? padding + content : content + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
  };
  const auto headings = line([&](std::size_t i) -> const std::string& { return columns_[i].heading; });
  out << (emphasis ? "\x1b[1m" + headings + "\x1b[0m" : headings) << '\n';
  for (const auto& row : rows_)
    out << line([&](std::size_t i) -> const std::string& { return row[i]; }) << '\n';
}

}  // namespace p11shim
