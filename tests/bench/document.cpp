// The report for programs: every round of every cell, and what follows from them.
#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "measures.h"
#include "report.h"

namespace p11shim {
namespace {

using nlohmann::json;

template <class Value>
json number_or_null(const std::optional<Value>& value) {
  return value ? json(*value) : json(nullptr);
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

json environment(const std::string& module) {
  utsname system{};
  ::uname(&system);
  const std::time_t now = std::time(nullptr);
  char date[32];
  std::strftime(date, sizeof date, "%FT%TZ", std::gmtime(&now));
  return {{"date", date},
          {"kernel", system.release},
          {"processor", processor()},
          {"processors", std::thread::hardware_concurrency()},
          {"module", module}};
}

std::string cell_name(const Cell& cell) {
  return cell.workload + ", " + std::to_string(cell.threads) + " threads, " +
         std::string(placement_name(cell.placement));
}

json cells(const Results& results) {
  json list = json::array();
  for (const auto& [cell, targets] : results.cells()) {
    json entry{{"placement", placement_name(cell.placement)}, {"workload", cell.workload}, {"threads", cell.threads}};
    for (const auto& [target, rounds] : targets) {
      json& timings = entry["targets"][target];
      timings["per_second"] = number_or_null(results.throughput(cell, target));
      timings["median_ns"] = number_or_null(results.latency_ns(cell, target));
      for (const Timing& timing : rounds)
        timings["rounds"].push_back({{"operations", timing.operations},
                                     {"elapsed_ns", timing.elapsed.count()},
                                     {"median_ns", timing.median.count()},
                                     {"p99_ns", timing.p99.count()}});
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

json report_document(const Results& results, const std::string& module) {
  json report{{"schema", "p11shim.make-bench"}, {"version", 1}, {"environment", environment(module)}};
  report["cells"] = cells(results);
  report["ratios"] = json::array();
  for (const auto& [cell, targets] : results.cells())
    if (const auto ratio = results.throughput_ratio(cell, "shim", "direct"))
      report["ratios"].push_back({{"name", cell_name(cell)}, {"value", *ratio}});
  for (const Measure& measure : all_measures()) {
    const auto outcome = measure.evaluate(results);
    report["measures"].push_back({{"name", measure.name},
                                  {"target", measure.target},
                                  {"figure", outcome ? json(outcome->figure) : json(nullptr)},
                                  {"value", outcome ? json(outcome->value) : json(nullptr)},
                                  {"counts", measure.target != kPrinted},
                                  {"reached", outcome && outcome->reached}});
  }
  report["data_paths"] = json::array();
  for (const DataPath& path : results.data_paths())
    report["data_paths"].push_back({{"workload", path.workload},
                                    {"target", path.target},
                                    {"client_cpu_ns", path.client.cpu_ns},
                                    {"client_switches", path.client.switches},
                                    {"servers_cpu_ns", path.servers.cpu_ns},
                                    {"servers_switches", path.servers.switches}});
  report["system_calls"] = json::array();
  for (const SystemCalls& calls : results.system_calls())
    report["system_calls"].push_back(
        {{"workload", calls.workload}, {"target", calls.target}, {"client", calls.client}, {"servers", calls.servers}});
  const Facts& facts = results.facts();
  json& figures = report["facts"];
  figures = {{"application_bytes", number_or_null(facts.application_bytes)},
             {"session_bytes", number_or_null(facts.session_bytes)},
             {"applications_held", number_or_null(facts.applications_held)},
             {"sessions_held", number_or_null(facts.sessions_held)},
             {"first_use_ns", number_or_null(facts.first_use_ns)},
             {"start_shim_ns", number_or_null(facts.start_shim_ns)},
             {"start_p11_kit_ns", number_or_null(facts.start_p11_kit_ns)},
             {"round_trips", facts.round_trips},
             {"remote_time_ns", facts.remote_time_ns},
             {"added_ns", facts.added_ns},
             {"inside_ns", facts.inside_ns},
             {"added_over_peer", facts.added_over_peer},
             {"unavailable", facts.unavailable}};
  figures["proxyd_cpu_per_call"] = json::array();
  for (const auto& [idle, ns] : facts.cpu_per_call)
    figures["proxyd_cpu_per_call"].push_back({{"idle_applications", idle}, {"ns", ns}});
  return report;
}

}  // namespace p11shim
