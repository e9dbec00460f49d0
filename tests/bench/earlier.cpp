#include "earlier.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <stdexcept>

namespace p11shim {
namespace {

using nlohmann::json;

constexpr double kWorthALine = 0.1;  // of cells, which are many

std::map<std::string, const json*> by_name(const json& list) {
  std::map<std::string, const json*> found;
  for (const json& entry : list) found[entry.at("name")] = &entry;
  return found;
}

std::string text_of(const json& value) {
  if (!value.is_number()) return value.is_string() ? value.get<std::string>() : "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value.get<double>());
  return text;
}

void compare(json& comparison, const json& before, const json& now, const char* kind, const char* value,
             const char* shown) {
  const auto earlier = by_name(before);
  for (const json& entry : now) {
    const auto found = earlier.find(entry.at("name"));
    if (found == earlier.end()) continue;
    const json& old = *found->second;
    json line{{"kind", kind}, {"name", entry["name"]}, {"before", old.at(shown)}, {"now", entry.at(shown)}};
    const json& then = old.at(value);
    const json& today = entry.at(value);
    if (then.is_number() && today.is_number() && then.get<double>() > 0 && today.get<double>() > 0)
      line["ratio"] = today.get<double>() / then.get<double>();
    comparison.push_back(std::move(line));
  }
}

}  // namespace

json read_report(const std::filesystem::path& file) {
  std::ifstream in(file);
  json report = json::parse(in, nullptr, false);
  if (!report.is_object() || report.value("schema", "") != "p11shim.make-bench" || report.value("version", 0) != 1)
    throw std::runtime_error(file.string() + " is no report of p11shim-bench");
  return report;
}

json compare_reports(const json& earlier, const json& report) {
  json comparison = json::array();
  try {
    compare(comparison, earlier.at("measures"), report.at("measures"), "measure", "value", "figure");
    compare(comparison, earlier.at("ratios"), report.at("ratios"), "over direct", "value", "value");
  } catch (const json::exception& failure) {
    throw std::runtime_error(std::string("the earlier report cannot be compared: ") + failure.what());
  }
  return comparison;
}

void print_comparison(std::ostream& out, const json& comparison) {
  out << "\ncompared with the earlier report (now over then)\n";
  for (const json& line : comparison) {
    const bool is_measure = line["kind"] == "measure";
    const double ratio = line.value("ratio", 0.0);
    if (!is_measure && std::abs(ratio - 1) < kWorthALine) continue;
    char text[300];
    std::snprintf(text, sizeof text, "%-11s %-52s %6s  %s -> %s\n", line["kind"].get<std::string>().c_str(),
                  line["name"].get<std::string>().c_str(), ratio > 0 ? (text_of(ratio) + " x").c_str() : "",
                  text_of(line["before"]).c_str(), text_of(line["now"]).c_str());
    out << text;
  }
}

}  // namespace p11shim
