#include "tools/shimctl/bench/html_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/shimctl/bench/result_table.h"
#include "tools/shimctl/bench/statistics.h"
#include "tools/shimctl/bench/stress_table.h"
#include "tools/shimctl/bench/svg_plot.h"
#include "tools/shimctl/output/quantity_text.h"

namespace p11shim {

using nlohmann::json;

namespace {

std::string time_of(double ns) { return duration_text(static_cast<std::uint64_t>(std::llround(std::max(0.0, ns)))); }
std::string rate_of(double rate) { return rate_text(rate); }

std::string name_of(const json& test) {
  std::string name = test["name"].get<std::string>();
  if (!test["data_size"].is_null()) name += " " + test["data_size"].dump() + " B";
  if (!test["side"].is_null()) name += " (" + test["side"].get<std::string>() + ")";
  if (test.contains("run") && test["run"].is_string()) name += ", " + test["run"].get<std::string>();
  return name;
}

std::string cell(const std::string& text) { return "<td>" + html_text(text) + "</td>"; }

std::string plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "unknown" : value.dump();
}

std::string environment_html(const json& data) {
  std::string html = "<h2>Environment</h2><dl>";
  for (const auto& [key, value] : data["environment"].items()) {
    if (key != "modules" && key != "machine")
      html += "<dt>" + html_text(key) + "</dt><dd>" + html_text(plain(value)) + "</dd>";
  }
  if (const json machine = data["environment"].value("machine", json()); !machine.is_null()) {
    html +=
        "<dt>speed of the machine</dt><dd>" +
        html_text("a fixed piece of work took " + time_of(machine["median_ns"]) + ", in 80 % of the slices between " +
                  time_of(machine["p10_ns"]) + " and " + time_of(machine["p90_ns"])) +
        "</dd>";
  }
  for (const auto& module : data["environment"]["modules"]) {
    html += "<dt>" + html_text(plain(module["side"])) + "</dt><dd>" +
            html_text(plain(module["library"]) + " " + plain(module["library_version"]) + ", token " +
                      plain(module["token"]) + ", " + plain(module["token_model"]) + " " +
                      plain(module["firmware_version"]) + ", " + plain(module["path"])) +
            "</dd>";
  }
  for (const auto& [key, value] : data["settings"].items()) {
    if (value.is_null()) continue;
    html += "<dt>" + html_text(key) + "</dt><dd>" + html_text(plain(value)) + "</dd>";
  }
  return html + "</dl>\n";
}

std::string row_html(const json& test, const json& latency, const std::string& name) {
  std::string html = "<tr>" + cell(name) + cell(rate_of(test["rate"]["per_second"]));
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99}) {
    const double ns = percentile_in(latency, percent);
    html += cell(ns < 0 ? "–" : time_of(ns));
  }
  html += cell(time_of(latency["max_ns"]));
  const auto flaws = test["failed"].get<std::uint64_t>() + test["wrong"].get<std::uint64_t>();
  std::string note = flaws == 0 ? "" : std::to_string(flaws) + " failed or wrong";
  if (!test["noise"].is_null() && test["noise"]["too_noisy"] == true) note += " noisy";
  return html + cell(note) + "</tr>\n";
}

std::string table_html(const json& tests) {
  std::string html =
      "<table><tr><th>test</th><th>ops/s</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th>"
      "<th>max</th><th>note</th></tr>\n";
  for (const auto& test : tests) {
    if (!test.contains("latency")) {
      html += "<tr>" + cell(name_of(test)) + "<td colspan=\"7\"></td>" +
              cell(plain(test["status"]) + ": " + plain(test["reason"])) + "</tr>\n";
    } else if (test["response"].is_null()) {
      html += row_html(test, test["latency"], name_of(test));
    } else {
      html += row_html(test, test["response"], name_of(test) + ", from the intended begin");
      html += row_html(test, test["latency"], name_of(test) + ", uncorrected");
    }
  }
  return html + "</table>\n";
}

std::string throughput_html(const json& tests) {
  std::vector<Bar> bars;
  for (const auto& test : tests) {
    if (!test.contains("latency")) continue;
    const json& rate = test["rate"];
    const double value = rate["per_second"];
    const bool sure = !rate["low"].is_null();
    bars.push_back({name_of(test), value, sure ? rate["low"].get<double>() : value,
                    sure ? rate["high"].get<double>() : value, rate_of(value) + "/s"});
  }
  return bars.empty() ? "" : "<h2>Throughput</h2>" + bar_plot(bars);
}

Line histogram_line(const std::string& name, const json& latency) {
  std::map<int, double> bars;  // eight per doubling
  for (const auto& bucket : latency["raw"]["buckets"]) {
    bars[static_cast<int>(std::floor(8 * std::log2(std::max(1.0, bucket[0].get<double>()))))] +=
        bucket[1].get<double>();
  }
  Line line{.name = name, .points = {}};
  for (const auto& [step, count] : bars) line.points.emplace_back(std::exp2(step / 8.0), count);
  if (!line.points.empty()) line.points.emplace_back(line.points.back().first * std::exp2(1 / 8.0), 0);
  return line;
}

std::string plots_html(const json& test) {
  std::string html = "<h3>" + html_text(name_of(test)) + "</h3>";
  std::vector<Line> histograms{histogram_line(test["response"].is_null() ? "latency" : "uncorrected", test["latency"])};
  if (!test["response"].is_null()) histograms.insert(histograms.begin(), histogram_line("latency", test["response"]));
  html += "<div class=\"histogram\">" +
          line_plot(histograms, {.x = "latency", .y = "operations", .log_x = true, .x_text = time_of, .steps = true}) +
          "</div>";
  std::vector<Line> percentiles{{"p50", {}}, {"p90", {}}, {"p99", {}}};
  for (const auto& slice : test["slices"]) {
    if (slice["count"] == 0 || slice["median_ns"].is_null()) continue;
    const double time = slice["start_s"].get<double>() + slice["seconds"].get<double>() / 2;
    // What a slice does not support interrupts its line; to join its neighbours would draw what nobody measured.
    const std::uint64_t count = slice["count"];
    percentiles[0].points.emplace_back(time, slice["median_ns"].get<double>());
    const auto add = [&](Line& line, const char* key, double percent) {
      const bool shown = supports_percentile(count, percent) && !slice[key].is_null();
      line.points.emplace_back(time, shown ? slice[key].get<double>() : std::nan(""));
    };
    add(percentiles[1], "p90_ns", 90);
    add(percentiles[2], "p99_ns", 99);
  }
  std::erase_if(percentiles, [](const Line& line) {
    return std::count_if(line.points.begin(), line.points.end(),
                         [](const auto& at) { return !std::isnan(at.second); }) < 2;
  });
  return html + "<div class=\"over-time\">" +
         line_plot(percentiles, {.x = "seconds", .y = "latency", .log_y = true, .y_text = time_of}) + "</div>\n";
}

std::string document_html(const json& document, const std::string& title) {
  const json& data = document["data"];
  std::string html = "<h2>" + html_text(title) + "</h2>";
  if (data["complete"] != true)
    html += "<p class=\"warn\">The run was interrupted (" + html_text(plain(data["interrupted_by"])) +
            "): this is a part of it.</p>";
  html += table_html(data["tests"]) + throughput_html(data["tests"]);
  if (data.contains("stress")) html += stress_html(data["stress"]);
  html += "<h2>Latency: histogram, and percentiles over time</h2>";
  for (const auto& test : data["tests"]) {
    if (test.contains("latency") && test["count"] != 0) html += plots_html(test);
  }
  return html + environment_html(data);
}

// What the plot of medians does not show: what is missing, and what the rate and the tail say.
std::string compared_html(const json& tests) {
  std::string html = "<table><tr><th>test</th><th>verdict</th><th>ops/s, first</th><th>second</th><th>note</th></tr>\n";
  for (const auto& test : tests) {
    const auto rate = [&](const char* side) { return test.contains(side) ? rate_of(test[side]["rate"]) : "–"; };
    html += "<tr>" + cell(plain(test["name"])) + cell(plain(test["verdict"])) + cell(rate("a")) + cell(rate("b")) +
            cell(test["reason"].is_null() ? "" : plain(test["reason"])) + "</tr>\n";
  }
  return html + "</table>\n";
}

std::string machine_html(const json& comparison) {
  const json& machine = comparison["machine"];
  if (machine.is_null() || machine["text"].is_null()) return "";
  return "<p class=\"warn\">" + html_text(plain(machine["text"])) + "</p>\n";
}

void add_ratio(std::vector<Bar>& ratios, const std::string& name, const json& comparison) {
  std::ostringstream text;
  text.precision(3);
  text << std::showpos << 100 * (comparison["ratio"].get<double>() - 1) << " % " << plain(comparison["verdict"]);
  ratios.push_back({name, comparison["ratio"], comparison["low"], comparison["high"], text.str()});
}

}  // namespace

std::string html_report(const std::vector<json>& documents) { return html_report(documents, nullptr); }

std::string html_report(const std::vector<json>& documents, const json& comparison) {
  std::string html = html_page_begin("shimctl bench");
  std::vector<Bar> ratios;
  for (const auto& document : documents) {
    for (const auto& test : document["data"]["tests"]) {
      if (test.contains("comparison") && !test["comparison"].is_null())
        add_ratio(ratios, test["name"].get<std::string>(), test["comparison"]);
    }
  }
  if (!comparison.is_null()) {
    for (const auto& test : comparison["tests"]) {
      if (test.contains("ratio") && !test["ratio"].is_null()) add_ratio(ratios, plain(test["name"]), test);
    }
  }
  if (!ratios.empty()) {
    html +=
        "<h2>Comparison</h2><p>Median latency, the second to the first: right of the line is slower.</p>"
        "<div class=\"comparison\">" +
        ratio_plot(ratios) + "</div>";
  }
  if (!comparison.is_null()) html += machine_html(comparison) + compared_html(comparison["tests"]);
  for (std::size_t i = 0; i < documents.size(); ++i)
    html += document_html(documents[i], documents.size() == 1 ? "Results" : i == 0 ? "First" : "Second");
  return html + "</body></html>\n";
}

}  // namespace p11shim
