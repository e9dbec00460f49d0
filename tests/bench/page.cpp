// The report for browsers, of the report for programs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "report.h"
#include "tools/shimctl/bench/svg_plot.h"

namespace p11shim {
namespace {

using nlohmann::json;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::abs(value) >= 1000 ? "%.0f" : "%.3g", value);
  return text;
}

std::string plain(const json& value) {
  if (value.is_string()) return value;
  if (value.is_number()) return number(value);
  return value.is_null() ? "–" : value.dump();
}

std::string row(std::initializer_list<std::string> cells) {
  std::string html = "<tr>";
  for (const std::string& cell : cells) html += "<td>" + html_text(cell) + "</td>";
  return html + "</tr>\n";
}

std::string measures_html(const json& measures) {
  std::string html = "<h2>Targets</h2><table><tr><th>measure</th><th>target</th><th>figure</th><th></th></tr>\n";
  std::size_t reached = 0;
  std::size_t targets = 0;
  for (const json& measure : measures) {
    const bool counts = measure["counts"];
    targets += counts ? 1 : 0;
    reached += counts && measure["reached"] ? 1 : 0;
    html += row({measure["name"], measure["target"], plain(measure["figure"]),
                 measure["figure"].is_null() ? "not available"
                 : !counts                   ? ""
                 : measure["reached"]        ? "reached"
                                             : "missed"});
  }
  return html + "</table><p>" + std::to_string(reached) + " of " + std::to_string(targets) + " targets reached.</p>\n";
}

// Throughput over threads, of everybody who took part.
std::string throughput_html(const json& cells) {
  std::map<std::string, std::map<std::string, Line>> plots;  // by workload and target
  for (const json& cell : cells) {
    if (cell["placement"] != "free") continue;
    for (const auto& [target, timings] : cell["targets"].items()) {
      if (!timings["per_second"].is_number()) continue;
      Line& line = plots[cell["workload"]][target];
      line.name = target;
      line.points.emplace_back(cell["threads"].get<double>(), timings["per_second"].get<double>());
    }
  }
  std::string html = "<h2>Throughput by threads, placed freely</h2>\n";
  for (const auto& [workload, targets] : plots) {
    std::vector<Line> lines;
    for (const auto& [target, line] : targets)
      if (line.points.size() > 1) lines.push_back(line);
    html += "<h3>" + html_text(workload) + "</h3>" +
            line_plot(lines, {.x = "threads", .y = "operations/s", .log_x = true, .x_text = number, .y_text = number});
  }
  return html;
}

std::string times_html(const json& cells) {
  std::string html;
  for (const char* placement : {"one core", "two cores"}) {
    std::string plots;
    for (const json& cell : cells) {
      if (cell["placement"] != placement || cell["threads"] != 1) continue;
      std::vector<Bar> bars;
      for (const auto& [target, timings] : cell["targets"].items()) {
        if (!timings["median_ns"].is_number()) continue;
        const double us = timings["median_ns"].get<double>() / 1e3;
        bars.push_back({target, us, us, us, number(us)});
      }
      plots += "<h3>" + html_text(cell["workload"].get<std::string>()) + "</h3>" + bar_plot(bars);
    }
    if (!plots.empty())
      html += std::string("<h2>Time of one operation on one thread, in µs, ") + placement + "</h2>\n" + plots;
  }
  return html;
}

std::string costs_html(const json& report) {
  std::string html =
      "<h2>What one operation costs</h2><table><tr><th>workload</th><th>target</th><th>client µs</th>"
      "<th>servers µs</th><th>client switches</th><th>servers switches</th></tr>\n";
  for (const json& path : report["data_paths"])
    html += row({path["workload"], path["target"], number(path["client_cpu_ns"].get<double>() / 1e3),
                 number(path["servers_cpu_ns"].get<double>() / 1e3), number(path["client_switches"]),
                 number(path["servers_switches"])});
  html += "</table>\n";
  if (report["system_calls"].empty()) return html;
  html += "<h3>System calls</h3><table><tr><th>workload</th><th>target</th><th>client</th><th>servers</th></tr>\n";
  for (const json& calls : report["system_calls"])
    html += row({calls["workload"], calls["target"], number(calls["client"]), number(calls["servers"])});
  return html + "</table>\n";
}

std::string facts_html(const json& facts) {
  Line line{"proxyd", {}};
  for (const json& point : facts["proxyd_cpu_per_call"])
    line.points.emplace_back(std::max(1.0, point["idle_applications"].get<double>()), point["ns"].get<double>() / 1e3);
  std::string html;
  if (line.points.size() > 1)
    html += "<h2>proxyd's processor time per call beside idle applications, in µs</h2>" +
            line_plot({line}, {.x = "idle applications", .y = "µs", .log_x = true, .x_text = number, .y_text = number});
  html += "<h2>Single figures</h2><dl>";
  for (const auto& [name, value] : facts.items())
    if (!value.is_structured() || !value.empty())
      html += "<dt>" + html_text(name) + "</dt><dd>" + html_text(plain(value)) + "</dd>";
  return html + "</dl>\n";
}

std::string comparison_html(const json& comparison) {
  std::vector<Bar> ratios;
  std::string table = "<table><tr><th>measure</th><th>then</th><th>now</th></tr>\n";
  for (const json& line : comparison) {
    if (line["kind"] == "measure") table += row({line["name"], plain(line["before"]), plain(line["now"])});
    if (!line.contains("ratio")) continue;
    const double ratio = line["ratio"];
    ratios.push_back({line["name"], ratio, ratio, ratio, number(ratio) + " x"});
  }
  return "<h2>Compared with the earlier report</h2>" + table +
         "</table><p>Now over then; cells: throughput over that of the module itself.</p>" + ratio_plot(ratios);
}

}  // namespace

std::string html_page(const json& report, const json& comparison) {
  std::string html = html_page_begin("p11shim bench") + measures_html(report["measures"]);
  if (!comparison.is_null()) html += comparison_html(comparison);
  html += throughput_html(report["cells"]) + times_html(report["cells"]) + costs_html(report) +
          facts_html(report["facts"]) + "<h2>Environment</h2><dl>";
  for (const auto& [name, value] : report["environment"].items())
    html += "<dt>" + html_text(name) + "</dt><dd>" + html_text(plain(value)) + "</dd>";
  return html + "</dl></body></html>\n";
}

}  // namespace p11shim
