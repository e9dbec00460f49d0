// What a command answers: one record, or rows. It is written in any format from this one form.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tools/shimctl/output/format.h"
#include "tools/shimctl/output/table.h"
#include "tools/shimctl/output/value.h"

namespace p11shim {

// What tables, CSV and plain text show of a row.
struct ReportColumn {
  std::string heading;
  std::string key;  // may be a path: "usage.sign"
  Align align = Align::kLeft;
};

struct Report {
  std::string name;  // of the schema: p11shim.<name>/<version>, described by docs/schemas/<name>.json
  int version = 1;

  Value data = Value::Record{};  // what JSON has under "data", without the rows
  std::string primary{};         // key in data: all that plain text shows

  std::string rows_key{};  // where in "data" the rows are; empty: there are none, data is everything
  std::vector<ReportColumn> columns{};
  std::vector<Value> rows{};
  std::string if_empty{};  // what people read where there are no rows
};

struct ReportStyle {
  OutputFormat format = OutputFormat::kTable;
  bool emphasis = false;
  std::size_t width = 0;  // of the terminal; 0: as wide as the data
};

void write_report(std::ostream& out, const Report& report, const ReportStyle& style);

// {"schema":"p11shim.<name>/<version>","data":…}
Value envelope(const std::string& name, int version, Value data);

}  // namespace p11shim
