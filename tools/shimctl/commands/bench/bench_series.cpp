// bench suite (runs that a file describes) and bench sweep (one setting's values, one after the other).
#include <charconv>

#include "config/problem.h"
#include "tools/shimctl/bench/suite_file.h"
#include "tools/shimctl/commands/bench/bench_run.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

BenchSettings settings_of_run(const SuiteRun& run) {
  BenchSettings settings;
  settings.only = run.only;
  settings.key = run.key;
  settings.threads = static_cast<unsigned>(run.threads);
  if (run.duration.count() > 0) settings.duration = run.duration;
  settings.iterations = static_cast<std::uint64_t>(run.iterations);
  if (settings.iterations != 0) settings.duration.reset();
  settings.warmup = run.warmup;
  settings.rate = static_cast<double>(run.rate);
  if (!run.data_sizes.empty()) settings.data_sizes.assign(run.data_sizes.begin(), run.data_sizes.end());
  choose_bench_tests(settings.only);
  return settings;
}

struct Sweep {
  std::string setting;
  std::vector<std::uint64_t> values;
};

Sweep parse_sweep(const std::string& text) {
  const auto fail = [&] {
    throw Failure(ExitCode::kUsage, in_quotes(text) + " is nothing to sweep over",
                  "--over threads=1,2,4,8, --over rate=100,200,400 or --over data-size=16,1024");
  };
  const auto equals = text.find('=');
  Sweep sweep{.setting = text.substr(0, equals), .values = {}};
  const bool known = sweep.setting == "threads" || sweep.setting == "rate" || sweep.setting == "data-size";
  if (equals == std::string::npos || !known) fail();
  for (std::size_t begin = equals + 1; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data() + begin, text.data() + end, value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + end || value == 0 || value > (1u << 24)) fail();
    sweep.values.push_back(value);
    begin = end + 1;
  }
  return sweep;
}

}  // namespace

ExitCode bench_suite(const Invocation& invocation, const BenchRunOptions& options) {
  check_outputs(options.output);
  const auto runs = read_suite_file(options.file);
  std::vector<BenchSettings> settings;
  check_connections(invocation, options.settings);
  for (const auto& run : runs) {
    settings.push_back(settings_of_run(run));
    settings.back().connections = options.settings.connections;
  }
  Interruption interruption;
  BenchTargets targets(invocation, "", interruption.signals(), options.settings.connections);
  BenchDocument document("suite", BenchSettings{}, targets.all());
  json described = json::array();
  for (std::size_t i = 0; i < runs.size() && !interruption.happened(); ++i) {
    described.push_back({{"name", runs[i].name}, {"settings", settings_json(settings[i])}});
    if (runs[i].mix.empty()) {
      measure_all(invocation, settings[i], targets, interruption, document, runs[i].name);
      continue;
    }
    Measurement measurement(invocation, settings[i], targets, interruption);
    auto records = measurement.mix(parse_mix(runs[i].mix, settings[i], targets.all().front().session()));
    for (auto& record : records) record["run"] = runs[i].name;
    document.add(std::move(records));
  }
  document.set("runs", std::move(described));
  return document.finish(invocation, options.output, interruption);
}

ExitCode bench_sweep(const Invocation& invocation, const BenchRunOptions& options) {
  const BenchSettings settings = settings_of(options);
  const Sweep sweep = parse_sweep(options.over);
  choose_bench_tests(settings.only);
  check_connections(invocation, settings);
  Interruption interruption;
  BenchTargets targets(invocation, "", interruption.signals(), settings.connections);
  BenchDocument document("sweep", settings, targets.all());
  document.set("over", sweep.setting);
  for (const auto value : sweep.values) {
    if (interruption.happened()) break;
    BenchSettings one = settings;
    if (sweep.setting == "threads") one.threads = static_cast<unsigned>(std::min<std::uint64_t>(value, 1024));
    if (sweep.setting == "rate") one.rate = static_cast<double>(value);
    if (sweep.setting == "data-size") one.data_sizes = {value};
    measure_all(invocation, one, targets, interruption, document, sweep.setting + " " + std::to_string(value));
  }
  return document.finish(invocation, options.output, interruption);
}

}  // namespace p11shim
