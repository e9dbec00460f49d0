#include "tools/shimctl/bench/stress_table.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/shimctl/bench/svg_plot.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/table.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::size_t kMostRows = 40;

std::string number_text(const char* format, const json& value) {
  if (value.is_null()) return "-";
  char text[48];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return text;
}

std::string time_text(const json& ns) {
  return ns.is_null() ? "-" : duration_text(static_cast<std::uint64_t>(std::llround(ns.get<double>())));
}

std::string bytes_text(double bytes) { return number_text("%.1f MiB", bytes / (1 << 20)); }
std::string seconds_text(double ns) { return time_text(std::max(0.0, ns)); }
std::string plain_text(double value) { return number_text("%.3g", value); }

struct Figure {
  const char* key;
  const char* name;
  std::string (*text)(double);
};
constexpr const char* kRate = "rate";
const std::vector<Figure>& figures() {
  static const std::vector<Figure> all{{kRate, "operations per second", rate_text},
                                       {"median_ns", "median latency", seconds_text},
                                       {"cpu", "processors in use", plain_text},
                                       {"rss_bytes", "memory", bytes_text},
                                       {"temperature", "degrees Celsius", plain_text}};
  return all;
}

// A trend as cells: change over the run, slope per hour, p, verdict.
std::vector<std::string> trend_cells(const Figure& figure, const json& trend) {
  if (trend.is_null()) return {figure.name, "-", "-", "-", "too few intervals, or not measured"};
  const double slope = 3600 * trend["per_second"].get<double>();
  return {figure.name, number_text("%+.3g %%", trend["change_percent"]),
          (slope < 0 ? "-" : "+") + figure.text(std::abs(slope)), number_text("%.2g", trend["p"]), trend["verdict"]};
}

}  // namespace

void write_stress(std::ostream& out, const json& stress, const TableStyle& style) {
  const json& intervals = stress["intervals"];
  Table table({{"FROM", Align::kRight},
               {"OPS/S", Align::kRight},
               {"ERRORS", Align::kRight},
               {"P50", Align::kRight},
               {"P99", Align::kRight},
               {"MAX", Align::kRight},
               {"CPU", Align::kRight},
               {"MEMORY", Align::kRight},
               {"°C", Align::kRight}});
  const std::size_t step = (intervals.size() + kMostRows - 1) / kMostRows;
  for (std::size_t i = 0; i < intervals.size(); i += step) {
    const json& each = intervals[i];
    table.add_row({number_text("%.1f s", each["start_s"]), rate_text(each["rate"]), each["errors"].dump(),
                   time_text(each["median_ns"]), time_text(each["p99_ns"]), time_text(each["max_ns"]),
                   number_text("%.2f", each["cpu"]), bytes_text(each["rss_bytes"]),
                   number_text("%.1f", each["temperature"])});
  }
  out << '\n';
  table.write(out, style.emphasis, style.width);
  if (step > 1) out << "one of " << step << " intervals is shown; -o json has all " << intervals.size() << '\n';
  Table trends(
      {{"OVER THE RUN"}, {"CHANGE", Align::kRight}, {"PER HOUR", Align::kRight}, {"P", Align::kRight}, {"VERDICT"}});
  for (const auto& figure : figures()) {
    if (stress["trends"].contains(figure.key)) trends.add_row(trend_cells(figure, stress["trends"][figure.key]));
  }
  out << '\n';
  trends.write(out, style.emphasis, style.width);
}

std::string stress_html(const json& stress) {
  std::string html =
      "<h2>Over the run</h2><table><tr><th>figure</th><th>change</th><th>per "
      "hour</th><th>p</th><th>verdict</th></tr>\n";
  for (const auto& figure : figures()) {
    if (!stress["trends"].contains(figure.key)) continue;
    html += "<tr>";
    for (const auto& cell : trend_cells(figure, stress["trends"][figure.key]))
      html += "<td>" + html_text(cell) + "</td>";
    html += "</tr>\n";
  }
  html += "</table>\n";
  for (const auto& figure : figures()) {
    Line line{.name = figure.name, .points = {}};
    std::size_t seen = 0;
    for (const auto& each : stress["intervals"]) {
      const json& value = each[figure.key];
      const double middle = each["start_s"].get<double>() + each["seconds"].get<double>() / 2;
      line.points.emplace_back(middle, value.is_null() ? std::nan("") : value.get<double>());
      seen += !value.is_null();
    }
    if (seen < 2) continue;
    html += "<div class=\"stress\">" + line_plot({line}, {.x = "seconds", .y = figure.name, .y_text = figure.text}) +
            "</div>\n";
  }
  return html;
}

}  // namespace p11shim
