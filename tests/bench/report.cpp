#include "report.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "measures.h"
#include "workload.h"

namespace p11shim {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[200];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string number(std::optional<double> value, const char* pattern) {
  return value ? format(pattern, *value) : std::string("-");
}

std::set<unsigned> thread_counts(const Results& results) {
  std::set<unsigned> counts;
  for (const auto& [cell, targets] : results.cells()) counts.insert(cell.threads);
  return counts;
}

void print_placement(std::ostream& out, const Results& results, Placement placement) {
  out << "\nplacement: " << placement_name(placement)
      << "    shim's throughput over direct | over p11-kit, by threads; medians of one thread's time in us\n";
  out << format("%-15s", "");
  for (const unsigned threads : thread_counts(results)) out << format("%10u thr   ", threads);
  out << format("  %9s %9s %9s %9s\n", "direct", "shim", "p11-kit", "echo");
  for (const Workload& workload : kWorkloads) {
    const std::string name(workload.name);
    out << format("%-15s", name.c_str());
    for (const unsigned threads : thread_counts(results)) {
      const Cell cell{placement, name, threads};
      out << format("%7s | %-7s", number(results.throughput_ratio(cell, "shim", "direct"), "%.2f").c_str(),
                    number(results.throughput_ratio(cell, "shim", "p11-kit"), "%.2f").c_str());
    }
    out << "  ";
    for (const char* target : {"direct", "shim", "p11-kit", "echo"}) {
      auto time = results.latency_ns({placement, name, 1}, target);
      if (time) *time /= 1e3;
      out << format("%9s ", number(time, "%.1f").c_str());
    }
    out << '\n';
  }
}

nlohmann::json fact(std::optional<double> value) { return value ? nlohmann::json(*value) : nlohmann::json(nullptr); }

}  // namespace

void print_ratios(std::ostream& out, const Results& results) {
  std::set<Placement> placements;
  for (const auto& [cell, targets] : results.cells()) placements.insert(cell.placement);
  for (const Placement placement : placements) print_placement(out, results, placement);
}

void print_data_paths(std::ostream& out, const Results& results) {
  out << format(
      "\none operation on one thread: processor time in us and context switches\n%-15s %-9s %10s %10s %10s %10s\n", "",
      "", "client us", "servers us", "switches", "switches");
  for (const DataPath& path : results.data_paths())
    out << format("%-15s %-9s %10.1f %10.1f %10.2f %10.2f\n", path.workload.c_str(), path.target.c_str(),
                  path.client.cpu_ns / 1e3, path.servers.cpu_ns / 1e3, path.client.switches, path.servers.switches);
}

void print_measures(std::ostream& out, const Results& results) {
  std::size_t reached = 0;
  const std::vector<Measure> measures = all_measures();
  out << format("\n%-40s %-34s %-36s\n", "measure", "target", "figure");
  for (const Measure& measure : measures) {
    const auto outcome = measure.evaluate(results);
    const char* verdict = !outcome ? "not measured" : outcome->reached ? "reached" : "missed";
    out << format("%-40s %-34s %-36s %s\n", measure.name.c_str(), measure.target.c_str(),
                  outcome ? outcome->figure.c_str() : "-", verdict);
    reached += outcome && outcome->reached ? 1 : 0;
  }
  out << "bench: " << reached << " of " << measures.size() << " targets reached\n";
}

void write_json(const std::filesystem::path& file, const Results& results) {
  nlohmann::json report;
  for (const auto& [cell, targets] : results.cells()) {
    nlohmann::json entry{
        {"placement", placement_name(cell.placement)}, {"workload", cell.workload}, {"threads", cell.threads}};
    for (const auto& [target, rounds] : targets) {
      nlohmann::json& list = entry["targets"][target] = nlohmann::json::array();
      for (const Timing& timing : rounds) {
        list.push_back({{"operations", timing.operations},
                        {"elapsed_ns", timing.elapsed.count()},
                        {"median_ns", timing.median.count()},
                        {"p99_ns", timing.p99.count()}});
      }
    }
    report["cells"].push_back(std::move(entry));
  }
  for (const Measure& measure : all_measures()) {
    const auto outcome = measure.evaluate(results);
    report["measures"].push_back({{"measure", measure.name},
                                  {"target", measure.target},
                                  {"figure", outcome ? nlohmann::json(outcome->figure) : nlohmann::json(nullptr)},
                                  {"reached", outcome && outcome->reached}});
  }
  for (const DataPath& path : results.data_paths())
    report["data_paths"].push_back({{"workload", path.workload},
                                    {"target", path.target},
                                    {"client_cpu_ns", path.client.cpu_ns},
                                    {"client_switches", path.client.switches},
                                    {"servers_cpu_ns", path.servers.cpu_ns},
                                    {"servers_switches", path.servers.switches}});
  const Facts& facts = results.facts();
  report["facts"] = {{"application_bytes", fact(facts.application_bytes)},
                     {"session_bytes", fact(facts.session_bytes)},
                     {"applications_held", fact(facts.applications_held)},
                     {"start_shim_ns", fact(facts.start_shim_ns)},
                     {"start_p11_kit_ns", fact(facts.start_p11_kit_ns)}};
  std::ofstream(file) << report.dump(1) << '\n';
}

}  // namespace p11shim
