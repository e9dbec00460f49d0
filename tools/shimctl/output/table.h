// Columns of text under headings, for people. Columns are as wide as their widest cell; text from outside
// (labels, program names) cannot disturb the terminal.
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

  // `emphasis` makes the headings bold.
  void write(std::ostream& out, bool emphasis = false) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace p11shim
