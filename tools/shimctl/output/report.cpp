#include "tools/shimctl/output/report.h"

#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

Value whole_data(const Report& report) {
  Value data = report.data;
  if (!report.rows_key.empty()) data.set(report.rows_key, Value::List(report.rows));
  return data;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char byte : text) quoted += byte == '"' ? std::string("\"\"") : std::string(1, byte);
  return quoted + '"';
}

void write_line(std::ostream& out, const std::vector<std::string>& cells, char separator) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i != 0) out << separator;
    out << (separator == ',' ? csv_cell(cells[i]) : terminal_text(cells[i]));
  }
  out << '\n';
}

std::string cell(const Value& row, const std::string& key, CellStyle style) {
  const Value* value = row.find(key);
  return cell_text(value == nullptr ? Value() : *value, style);
}

std::vector<std::string> cells(const Report& report, const Value& row, CellStyle style) {
  std::vector<std::string> texts;
  for (const auto& column : report.columns) texts.push_back(cell(row, column.key, style));
  return texts;
}

void write_csv(std::ostream& out, const Report& report) {
  std::vector<std::string> headings;
  if (!report.rows_key.empty()) {
    for (const auto& column : report.columns) headings.push_back(column.key);
    write_line(out, headings, ',');
    for (const auto& row : report.rows) write_line(out, cells(report, row, CellStyle::kPrograms), ',');
    return;
  }
  std::vector<std::string> line;
  for (const auto& [path, value] : leaves(report.data)) {
    headings.push_back(path);
    line.push_back(cell_text(*value, CellStyle::kPrograms));
  }
  write_line(out, headings, ',');
  write_line(out, line, ',');
}

void write_plain(std::ostream& out, const Report& report) {
  if (!report.rows_key.empty()) {
    for (const auto& row : report.rows) write_line(out, cells(report, row, CellStyle::kPrograms), '\t');
    return;
  }
  if (!report.primary.empty()) {
    return write_line(out, {cell(report.data, report.primary, CellStyle::kPrograms)}, '\t');
  }
  for (const auto& [path, value] : leaves(report.data)) {
    write_line(out, {path, cell_text(*value, CellStyle::kPrograms)}, '\t');
  }
}

void write_record(std::ostream& out, const Value& record, const ReportStyle& style) {
  Table table({{""}, {""}});
  for (const auto& [path, value] : leaves(record)) {
    table.add_row({path, cell_text(*value, CellStyle::kPeople)});
  }
  table.write_without_headings(out, style.width);
}

// A row under the other, as "heading  cell" lines: where the terminal is too narrow for columns.
void write_rows_as_records(std::ostream& out, const Report& report, const ReportStyle& style) {
  bool first = true;
  for (const auto& row : report.rows) {
    if (!first) out << '\n';
    first = false;
    Table table({{""}, {""}});
    for (const auto& column : report.columns) {
      const std::string text = cell(row, column.key, CellStyle::kPeople);
      if (text != "-") table.add_row({column.heading, text});
    }
    table.write_without_headings(out, style.width);
  }
}

void write_table(std::ostream& out, const Report& report, const ReportStyle& style) {
  if (report.rows_key.empty()) return write_record(out, report.data, style);
  if (const auto* record = report.data.record(); record != nullptr && !record->empty()) {
    write_record(out, report.data, style);
    out << '\n';
  }
  if (report.rows.empty()) {
    if (!report.if_empty.empty()) out << report.if_empty << '\n';
    return;
  }
  std::vector<Column> headings;
  for (const auto& column : report.columns) headings.push_back({column.heading, column.align});
  Table table(std::move(headings));
  for (const auto& row : report.rows) table.add_row(cells(report, row, CellStyle::kPeople));
  if (!table.fits(style.width)) return write_rows_as_records(out, report, style);
  table.write(out, style.emphasis, style.width);
}

// Row by row: there may be a hundred thousand of them.
void write_json(std::ostream& out, const Report& report) {
  Value data = report.data;
  if (!report.rows_key.empty()) data.set(report.rows_key, Value::List{});
  const std::string frame = json_text(envelope(report.name, report.version, std::move(data)), 2) + '\n';
  const auto hole = frame.rfind("[]");
  if (report.rows.empty() || hole == std::string::npos) {
    out << frame;
    return;
  }
  out << frame.substr(0, hole) << '[';
  for (std::size_t i = 0; i < report.rows.size(); ++i) {
    out << (i == 0 ? "\n      " : ",\n      ");
    for (const char byte : json_text(report.rows[i], 2)) {
      out << byte;
      if (byte == '\n') out << "      ";
    }
  }
  out << "\n    ]" << frame.substr(hole + 2);
}

}  // namespace

Value envelope(const std::string& name, int version, Value data) {
  Value whole;
  whole.set("schema", "p11shim." + name + "/" + std::to_string(version));
  whole.set("data", std::move(data));
  return whole;
}

void write_report(std::ostream& out, const Report& report, const ReportStyle& style) {
  switch (style.format) {
    case OutputFormat::kTable: return write_table(out, report, style);
    case OutputFormat::kCsv: return write_csv(out, report);
    case OutputFormat::kPlain: return write_plain(out, report);
    case OutputFormat::kYaml: out << yaml_text(envelope(report.name, report.version, whole_data(report))); return;
    case OutputFormat::kJson: return write_json(out, report);
    case OutputFormat::kNdjson:
      if (report.rows_key.empty()) {
        out << json_text(envelope(report.name, report.version, report.data)) << '\n';
        return;
      }
      for (const auto& row : report.rows) {
        out << json_text(envelope(report.name + ".row", report.version, row)) << '\n';
      }
  }
}

}  // namespace p11shim
