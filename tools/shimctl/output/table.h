// Columns of text under headings, for people. Columns are as wide as their widest cell, or narrower where the
// terminal is; text from outside (labels, program names) cannot disturb the terminal.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace p11shim {

enum class Align : std::uint8_t { kLeft, kRight };

struct Column {
  std::string heading;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add_row(std::vector<std::string> cells);  // as many as there are columns
  bool empty() const { return rows_.empty(); }

  // `emphasis` makes the headings bold. In a `width` (0: any) that is too small, the widest columns lose the
  // ends of their cells.
  void write(std::ostream& out, bool emphasis = false, std::size_t width = 0) const;
  void write_without_headings(std::ostream& out, std::size_t width = 0) const;

  // Whether `width` leaves enough of every column to be understood.
  bool fits(std::size_t width) const;

 private:
  std::vector<std::size_t> natural_widths() const;
  std::vector<std::size_t> widths_in(std::size_t width) const;
  std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace p11shim
