#include "tools/shimctl/commands/bench/bench_commands.h"

#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/bench/bench_capacity.h"
#include "tools/shimctl/commands/bench/bench_compare.h"
#include "tools/shimctl/commands/bench/bench_run.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

constexpr char kOnlyText[] = "Tests, groups or patterns, with commas between them: p256-sign,hash,'aes256-*'";

void add_output(CLI::App& app, BenchOutput& output) {
  app.add_option("--save", output.save, "The whole report as JSON, too")->option_text("FILE");
  app.add_option("--report", output.report, "A page with plots, which needs no network")->option_text("FILE");
  app.add_option("--prometheus", output.prometheus, "Rates, failures and histograms for Prometheus")
      ->option_text("FILE");
  app.add_flag("--histogram", output.histogram, "Show each test's latencies as bars of characters");
}

void add_connections(CLI::App& app, BenchSettings& settings) {
  app.add_option("--connections", settings.connections,
                 "Processes, each with its own C_Initialize and so many --threads; to proxyd each is an application")
      ->capture_default_str()
      ->option_text("N");
}

void add_load(CLI::App& app, BenchRunOptions& options) {
  BenchSettings& settings = options.settings;
  app.add_option("--key", settings.key, "The key to work with; otherwise any that fits, or one for the run")
      ->option_text("KEY");
  app.add_flag("!--no-make-keys", settings.make_keys, "Skip what the token has no key for");
  app.add_option("--threads", settings.threads, "Threads, each with its own session")
      ->capture_default_str()
      ->option_text("N");
  add_connections(app, settings);
  app.add_option("--duration", options.duration, "Of each test: 10s, 500ms")->option_text("TIME");
  app.add_option("--iterations", settings.iterations, "Of each test, of all threads together")->option_text("N");
  app.add_option("--warmup", options.warmup, "At most so long, until times are steady; 0s: none")
      ->capture_default_str()
      ->option_text("TIME");
  app.add_option("--data-size", options.data_sizes, "Bytes, several with commas; with two or more, the cost is fitted")
      ->option_text("SIZES");
  app.add_option("--rate", settings.rate, "Open loop: so many operations per second, of all threads together")
      ->option_text("N");
  app.add_option("--arrivals", options.arrivals, "With --rate: fixed or poisson")
      ->check(CLI::IsMember({"fixed", "poisson"}))
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "Of what is random in a run")->capture_default_str()->option_text("N");
}

void add_only(CLI::App& app, std::vector<std::string>& only) {
  app.add_option("--only", only, kOnlyText)->option_text("TESTS")->allow_extra_args(false);
}

void add_runs(CLI::App& bench, Invocation& invocation) {
  const auto run = add_command(bench, invocation, "run", "Measure tests, one after the other", &bench_run);
  add_only(*run.app, run.options->settings.only);
  add_load(*run.app, *run.options);
  run.app
      ->add_option(
          "--vs", run.options->settings.versus,
          "Compare, interleaved: direct (a private proxyd with the module itself), self, or another module's path")
      ->option_text("WHAT");
  add_output(*run.app, run.options->output);
  run.app->footer(
      "Examples:\n  shimctl --token test --pin-from env:PIN bench run --only p256-sign --threads 4\n"
      "  shimctl --module m.so bench run --only sign --rate 200 --vs direct --report report.html");

  const auto stress =
      add_command(bench, invocation, "stress", "Repeat one test for long, and see whether it wears out", &bench_stress);
  add_only(*stress.app, stress.options->settings.only);
  add_load(*stress.app, *stress.options);
  stress.app->add_option("--interval", stress.options->interval, "What is looked at together")
      ->capture_default_str()
      ->option_text("TIME");
  add_output(*stress.app, stress.options->output);

  const auto mix = add_command(bench, invocation, "mix", "Several operations at once, by their weights", &bench_mix);
  mix.app->add_option("mix", mix.options->mix, "sign:50%,verify:30%,encrypt:20%")->required();
  add_load(*mix.app, *mix.options);
  add_output(*mix.app, mix.options->output);

  const auto suite = add_command(bench, invocation, "suite", "The runs that a file describes", &bench_suite);
  suite.app->add_option("file", suite.options->file, "TOML: [[run]] with only, key, mix, threads, duration, …")
      ->required();
  add_output(*suite.app, suite.options->output);

  const auto sweep =
      add_command(bench, invocation, "sweep", "The same tests for each value of a setting", &bench_sweep);
  add_only(*sweep.app, sweep.options->settings.only);
  add_load(*sweep.app, *sweep.options);
  sweep.app->add_option("--over", sweep.options->over, "threads=1,2,4, rate=100,200 or data-size=16,1024")
      ->required()
      ->option_text("VALUES");
  add_output(*sweep.app, sweep.options->output);
}

void add_comparisons(CLI::App& bench, Invocation& invocation) {
  const auto compare = add_command(bench, invocation, "compare", "Compare two reports", &bench_compare);
  compare.app->add_option("before", compare.options->before, "What bench run -o json wrote")->required();
  compare.app->add_option("after", compare.options->after, "Another one")->required();
  compare.app
      ->add_option("--fail-on-regress", compare.options->fail_on_regress,
                   "Exit with 1 if a test became slower by more than this (10%), fails more, or is missing")
      ->option_text("SHARE");
  compare.app->add_option("--alpha", compare.options->alpha, "How often chance may be called a change")
      ->capture_default_str()
      ->option_text("P");
  compare.app->add_option("--report", compare.options->report, "A page with plots")->option_text("FILE");

  const auto capacity =
      add_command(bench, invocation, "capacity", "How many of these HSMs a rate and a p99 need", &bench_capacity);
  add_only(*capacity.app, capacity.options->run.settings.only);
  capacity.app->add_option("--key", capacity.options->run.settings.key, "The key to measure with")->option_text("KEY");
  capacity.app->add_option("--rate", capacity.options->rate, "Operations per second that are needed")
      ->required()
      ->option_text("N");
  capacity.app->add_option("--p99", capacity.options->p99, "How long 99 of 100 may take: 50ms")
      ->required()
      ->option_text("TIME");
  capacity.app
      ->add_option("--from", capacity.options->from,
                   "A report of bench sweep --over threads=… instead of a measurement")
      ->option_text("FILE");
  capacity.app
      ->add_option("--parallel", capacity.options->parallel,
                   "Operations that one HSM serves at once, if you know it better")
      ->option_text("N");
  capacity.app->add_option("--duration", capacity.options->run.duration, "Of each measurement")->option_text("TIME");
  capacity.app->add_option("--warmup", capacity.options->run.warmup, "At most")->option_text("TIME");

  const auto report = add_command(bench, invocation, "report", "Make a page of one report, or of two", &bench_report);
  report.app->add_option("files", report.options->files, "What bench run -o json wrote")->required();
  report.app->add_option("--out", report.options->out, "The page")->capture_default_str()->option_text("FILE");
}

}  // namespace

void add_bench_commands(CLI::App& root, Invocation& invocation) {
  auto& bench = add_noun(root, "bench", "Measure a token");
  const auto list = add_command(bench, invocation, "list", "List the tests", &list_bench_tests);
  add_only(*list.app, list.options->only);
  add_runs(bench, invocation);
  add_comparisons(bench, invocation);
}

}  // namespace p11shim
