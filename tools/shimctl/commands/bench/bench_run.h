// bench list, run, stress, mix, suite and sweep.
#pragma once

#include "tools/shimctl/commands/bench/bench_document.h"

namespace p11shim {

struct BenchListOptions {
  std::vector<std::string> only;
};
ExitCode list_bench_tests(const Invocation& invocation, const BenchListOptions& options);

struct BenchRunOptions {
  BenchSettings settings;
  BenchOutput output;
  // As they are written.
  std::string duration;
  std::string warmup = "1s";
  std::vector<std::string> data_sizes;
  std::string arrivals = "fixed";

  std::string interval = "5s";  // stress
  std::string mix;              // mix: "sign:50%,verify:30%"
  std::string file;             // suite
  std::string over;             // sweep: "threads=1,2,4"
};
// The written forms into `settings`. Throws Failure (kUsage).
BenchSettings settings_of(const BenchRunOptions& options);
// Throws Failure (kUsage) if the PIN cannot be read by several processes.
void check_connections(const Invocation& invocation, const BenchSettings& settings);
std::chrono::nanoseconds parse_time(const std::string& text, const std::string& option);

ExitCode bench_run(const Invocation& invocation, const BenchRunOptions& options);
ExitCode bench_stress(const Invocation& invocation, const BenchRunOptions& options);
ExitCode bench_mix(const Invocation& invocation, const BenchRunOptions& options);
ExitCode bench_suite(const Invocation& invocation, const BenchRunOptions& options);
ExitCode bench_sweep(const Invocation& invocation, const BenchRunOptions& options);

// All that `settings` ask for, into `document`. For suites, each record gets `name` as its "run".
void measure_all(const Invocation& invocation, const BenchSettings& settings, BenchTargets& targets,
                 Interruption& interruption, BenchDocument& document, const std::string& name = "");

// "sign:50%,verify:30%": a name, a group or a family, with its weight; what they mean with this token and
// key. Throws Failure (kUsage).
std::vector<MixPart> parse_mix(const std::string& text, const BenchSettings& settings, Session& session);

}  // namespace p11shim
