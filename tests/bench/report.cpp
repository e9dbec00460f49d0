#include "report.h"

#include <array>
#include <cstdio>
#include <ostream>
#include <set>

#include "measures.h"
#include "workload.h"

namespace p11shim {
namespace {

// Whose time of one operation is printed.
constexpr std::array kTimed{"direct", "shim", "shim-spin", "p11-kit", "caml-crush", "echo"};

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
  out << "  ";
  for (const char* target : kTimed) out << format("%10s ", target);
  out << '\n';
  for (const Workload& workload : kWorkloads) {
    const std::string name(workload.name);
    out << format("%-15s", name.c_str());
    for (const unsigned threads : thread_counts(results)) {
      const Cell cell{placement, name, threads};
      out << format("%7s | %-7s", number(results.throughput_ratio(cell, "shim", "direct"), "%.2f").c_str(),
                    number(results.throughput_ratio(cell, "shim", "p11-kit"), "%.2f").c_str());
    }
    out << "  ";
    for (const char* target : kTimed) {
      auto time = results.latency_ns({placement, name, 1}, target);
      if (time) *time /= 1e3;
      out << format("%10s ", number(time, "%.1f").c_str());
    }
    out << '\n';
  }
}

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

void print_system_calls(std::ostream& out, const Results& results) {
  if (results.system_calls().empty()) return;
  out << format("\nsystem calls of one operation\n%-15s %-11s %10s %10s\n", "", "", "client", "servers");
  for (const SystemCalls& calls : results.system_calls())
    out << format("%-15s %-11s %10.2f %10.2f\n", calls.workload.c_str(), calls.target.c_str(), calls.client,
                  calls.servers);
}

void print_measures(std::ostream& out, const Results& results) {
  std::size_t reached = 0;
  std::size_t targets = 0;
  out << format("\n%-48s %-40s %-36s\n", "measure", "target", "figure");
  for (const Measure& measure : all_measures()) {
    const auto outcome = measure.evaluate(results);
    const bool counts = measure.target != kPrinted;
    const char* verdict = !outcome ? "not available" : !counts ? "" : outcome->reached ? "reached" : "missed";
    out << format("%-48s %-40s %-36s %s\n", measure.name.c_str(), measure.target.c_str(),
                  outcome ? outcome->figure.c_str() : "-", verdict);
    targets += counts ? 1 : 0;
    reached += counts && outcome && outcome->reached ? 1 : 0;
  }
  for (const auto& [peer, reason] : results.facts().unavailable) out << peer << ": not available, " << reason << '\n';
  out << "bench: " << reached << " of " << targets << " targets reached\n";
}

}  // namespace p11shim
