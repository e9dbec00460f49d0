#include "tools/shimctl/commands/stats_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/member_text.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/table.h"

namespace p11shim {

using nlohmann::json;

namespace {

StatsRow read_row(const json& entry, const std::string& stage) {
  StatsRow row;
  row.calls = entry.at("calls");
  row.failed = entry.at("failed");
  row.errors = entry.at("errors").get<std::map<std::string, std::uint64_t>>();
  const auto histogram = entry.find(stage);
  if (histogram != entry.end()) row.latency = Histogram::from_raw(*histogram);
  return row;
}

StatsRow since(const StatsRow& now, const StatsRow& earlier) {
  // Counts that went back belong to another proxyd: everything is new.
  if (now.calls < earlier.calls || now.failed < earlier.failed) return now;
  StatsRow row;
  row.calls = now.calls - earlier.calls;
  row.failed = now.failed - earlier.failed;
  for (const auto& [rv, count] : now.errors) {
    const auto before = earlier.errors.find(rv);
    const std::uint64_t old = before == earlier.errors.end() ? 0 : before->second;
    if (count > old) row.errors[rv] = count - old;
  }
  row.latency = now.latency.since(earlier.latency);
  return row;
}

std::vector<StatsRows::const_iterator> busiest_first(const StatsRows& rows) {
  std::vector<StatsRows::const_iterator> order;
  for (auto row = rows.begin(); row != rows.end(); ++row) order.push_back(row);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a->second.calls > b->second.calls; });
  return order;
}

const char* heading_of(StatsSubject subject) {
  switch (subject) {
    case StatsSubject::kFunctions: return "FUNCTION";
    case StatsSubject::kMechanisms: return "MECHANISM";
    case StatsSubject::kClients: return "CLIENT";
  }
  return "";
}

std::string calls_text(const StatsRow& row, double seconds) {
  if (seconds == 0) return std::to_string(row.calls);
  return rate_text(static_cast<double>(row.calls) / seconds);
}

}  // namespace

StatsRows read_rows(const json& snapshot, StatsSubject subject, const std::string& stage) {
  StatsRows rows;
  try {
    if (subject == StatsSubject::kClients) {
      for (const auto& client : snapshot.at("clients")) rows[{"", client.at("client")}] = read_row(client, stage);
      return rows;
    }
    const char* key = subject == StatsSubject::kFunctions ? "functions" : "mechanisms";
    for (const auto& member : snapshot.at("members")) {
      for (const auto& [name, entry] : member.at(key).items())
        rows[{member_text(member.at("pool"), member.at("member")), name}] = read_row(entry, stage);
    }
  } catch (const std::exception& error) {  // of the JSON, or of a histogram
    throw Failure(ExitCode::kUnreachable, std::string("proxyd's statistics cannot be read: ") + error.what(),
                  "are shimctl and proxyd of the same version?");
  }
  return rows;
}

StatsRows rows_since(const StatsRows& now, const StatsRows& earlier) {
  StatsRows rows;
  for (const auto& [key, row] : now) {
    const auto before = earlier.find(key);
    auto change = before == earlier.end() ? row : since(row, before->second);
    if (change.calls != 0) rows.emplace(key, std::move(change));
  }
  return rows;
}

void write_rows(std::ostream& out, const StatsRows& rows, const StatsLayout& layout) {
  if (rows.empty()) {
    out << "no calls\n";
    return;
  }
  Table figures({{"MEMBER"},
                 {heading_of(layout.subject)},
                 {layout.seconds == 0 ? "CALLS" : "CALLS/S", Align::kRight},
                 {"ERRORS", Align::kRight},
                 {"P50", Align::kRight},
                 {"P90", Align::kRight},
                 {"P99", Align::kRight},
                 {"P99.9", Align::kRight},
                 {"MAX", Align::kRight}});
  Table errors({{"MEMBER"}, {heading_of(layout.subject)}, {"RETURN CODE"}, {"COUNT", Align::kRight}});
  for (const auto& entry : busiest_first(rows)) {
    const auto& [where, name] = entry->first;
    const StatsRow& row = entry->second;
    const auto time = [&row](double percent) {
      return row.latency.count() == 0 ? "-" : duration_text(row.latency.percentile(percent));
    };
    figures.add_row({where.empty() ? "-" : where, name, calls_text(row, layout.seconds), std::to_string(row.failed),
                     time(50), time(90), time(99), time(99.9), time(100)});
    for (const auto& [rv, count] : row.errors)
      errors.add_row({where.empty() ? "-" : where, name, rv, std::to_string(count)});
  }
  figures.write(out, layout.emphasis);
  if (errors.empty()) return;
  out << '\n';
  errors.write(out, layout.emphasis);
}

}  // namespace p11shim
