#include "tools/shimctl/output/table.h"

#include <algorithm>
#include <stdexcept>

#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

constexpr std::string_view kGap = "  ";
constexpr std::size_t kNarrowest = 8;   // of a column that is cut
constexpr std::size_t kNameWidth = 32;  // of the first: rows whose names are cut cannot be told apart

std::size_t narrowest(std::size_t column) { return column == 0 ? kNameWidth : kNarrowest; }

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) throw std::logic_error("a row needs a cell for each column");
  for (auto& cell : cells) cell = terminal_text(cell);
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::natural_widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].heading);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i]));
    widths.push_back(width);
  }
  return widths;
}

bool Table::fits(std::size_t width) const {
  if (width == 0) return true;
  std::size_t least = kGap.size() * (columns_.size() - 1);
  const auto widths = natural_widths();
  for (std::size_t i = 0; i < widths.size(); ++i) least += std::min(widths[i], narrowest(i));
  return least <= width;
}

std::vector<std::size_t> Table::widths_in(std::size_t width) const {
  auto widths = natural_widths();
  if (width == 0) return widths;
  std::size_t sum = kGap.size() * (columns_.size() - 1);
  for (const std::size_t natural : widths) sum += natural;
  for (; sum > width; --sum) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] > narrowest(i) && (widest == widths.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == widths.size()) break;
    --widths[widest];
  }
  return widths;
}

std::string Table::line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const {
  std::string text;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::string content = shortened(cells[i], widths[i]);
    const std::string padding(widths[i] - display_width(content), ' ');
    if (i != 0) text += kGap;
    text += columns_[i].align == Align::kRight ? padding + content : content + padding;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

void Table::write(std::ostream& out, bool emphasis, std::size_t width) const {
  std::vector<std::string> texts;
  for (const auto& column : columns_) texts.push_back(column.heading);
  const auto headings = line(texts, widths_in(width));
  out << (emphasis ? "\x1b[1m" + headings + "\x1b[0m" : headings) << '\n';
  write_without_headings(out, width);
}

void Table::write_without_headings(std::ostream& out, std::size_t width) const {
  const auto widths = widths_in(width);
  for (const auto& row : rows_) out << line(row, widths) << '\n';
}

}  // namespace p11shim
