// p11shim-bench: the module called directly, shim + proxyd, p11-kit, caml-crush and a bare socket, side by side in one
// run. Rounds go through all targets in turn, so what disturbs the machine disturbs all of them;
// results are ratios. The exit status tells whether everything worked, never whether it was fast.
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "earlier.h"
#include "many.h"
#include "measures.h"
#include "network.h"
#include "report.h"
#include "stopwatch.h"
#include "system_calls.h"
#include "target.h"
#include "token.h"
#include "workload.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

struct Options {
  std::filesystem::path module = "/usr/lib/softhsm/libsofthsm2.so";
  std::filesystem::path programs;
  std::filesystem::path json;
  std::filesystem::path html;
  std::filesystem::path compare;
  std::vector<std::string> targets{"direct", "shim", "p11-kit", "caml-crush", "echo"};
  unsigned seconds = 200;
  std::optional<unsigned> applications;
  std::optional<unsigned> sessions;
  bool quick = false;
};

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "p11bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Plan {
  std::vector<Placement> placements;
  std::vector<unsigned> threads;         // placed freely
  std::vector<unsigned> pinned_threads;  // otherwise
  unsigned rounds;
  Crowds crowds;
  unsigned other_keys;
  unsigned network_rounds;
  milliseconds network_round;
  unsigned counted_operations;  // of which system calls are counted
  unsigned starts;
  unsigned first_uses;
};

Plan full_plan() {
  Plan plan{.placements = {Placement::kFree, Placement::kOneCore},
            .threads = {1, 2, 8, 32},
            .pinned_threads = {1, 8},
            .rounds = 5,
            .crowds = {},
            .other_keys = 995,
            .network_rounds = 5,
            .network_round = milliseconds(200),
            .counted_operations = 20,  // strace makes a search of 1,000 objects take seconds

            .starts = 40,
            .first_uses = 9};
  if (has_two_cores()) plan.placements.push_back(Placement::kTwoCores);
  return plan;
}

Plan quick_plan() {
  return {.placements = {Placement::kFree},
          .threads = {1, 8},
          .pinned_threads = {},
          .rounds = 1,
          .crowds = {.applications = 20, .sessions = 100, .active = 2, .round = milliseconds(10), .rounds = 1},
          .other_keys = 20,
          .network_rounds = 1,
          .network_round = milliseconds(10),
          .counted_operations = 5,
          .starts = 3,
          .first_uses = 1};
}

Plan plan_of(const Options& options) {
  Plan plan = options.quick ? quick_plan() : full_plan();
  plan.crowds.applications = options.applications.value_or(plan.crowds.applications);
  plan.crowds.sessions = options.sessions.value_or(plan.crowds.sessions);
  return plan;
}

class Bench {
 public:
  Bench(const Options& options, const BenchPaths& paths) : options_(options), paths_(paths), plan_(plan_of(options)) {}

  void run() {
    start_targets();
    if (has("shim")) measure_scale();
    if (has("shim")) measure_search();
    measure_start();
    measure_workloads();
    measure_data_paths();
    report();
  }

 private:
  static constexpr unsigned kFewestRounds = 3;

  bool has(const std::string& name) const {
    return std::find(options_.targets.begin(), options_.targets.end(), name) != options_.targets.end();
  }

  void start_targets() {
    Target::direct(paths_).client().ask("prepare " + std::to_string(plan_.other_keys));
    if (has("direct")) targets_.push_back(Target::direct(paths_));
    if (has("shim")) targets_.push_back(Target::shim(paths_));
    if (has("shim") && !options_.quick) targets_.push_back(Target::spinning_shim(paths_));
    if (has("shim")) targets_.push_back(Target::socket_shim(paths_));
    if (takes_part("p11-kit")) targets_.push_back(Target::p11_kit(paths_));
    if (takes_part("caml-crush")) targets_.push_back(Target::caml_crush(paths_));
    if (has("echo")) {
      targets_.push_back(Target::echo(paths_));
      targets_.push_back(Target::echo_loop(paths_));
    }
    for (Target& target : targets_) {
      target.open(plan_.threads.back());
      if (!target.name().starts_with("echo")) std::cout << target.name() << ": results are right" << std::endl;
    }
  }

  bool takes_part(const std::string& peer) {
    if (!has(peer)) return false;
    const auto reason = Target::why_not(peer);
    if (reason) {
      results_.facts().unavailable[peer] = *reason;
      std::cout << peer << ": not available, " << *reason << '\n';
    }
    return !reason;
  }

  void measure_scale() {
    Facts& facts = results_.facts();
    std::cout << "measuring: " << plan_.crowds.sessions << " sessions" << std::endl;
    measure_sessions(paths_, plan_.crowds, facts);
    std::cout << "measuring: " << plan_.crowds.applications << " applications" << std::endl;
    measure_applications(paths_, plan_.crowds, facts);
    std::cout << "measuring: a network" << std::endl;
    // With few keys: the time of the module's own search, which varies by more, would hide that of the network.
    const std::string configuration = ::getenv("SOFTHSM2_CONF");
    ::setenv("SOFTHSM2_CONF", write_softhsm_configuration(paths_.folder / "few").c_str(), 1);
    Target::direct(paths_).client().ask("prepare 8");
    measure_network(paths_, plan_.network_round, plan_.network_rounds, facts);
    ::setenv("SOFTHSM2_CONF", configuration.c_str(), 1);
  }

  void measure_search() {
    std::cout << "measuring: a search" << std::endl;
    const bool with_peer = has("p11-kit") && !results_.facts().unavailable.contains("p11-kit");
    measure_added(paths_, "find-and-read", 2 * plan_.network_round, plan_.network_rounds, with_peer, results_.facts());
  }

  void measure_start() {
    const std::string command = "start " + std::to_string(plan_.starts);
    Facts& facts = results_.facts();
    for (Target& target : targets_) {
      if (target.name() == "shim") {
        facts.start_shim_ns = std::stod(target.add_client().ask(command));
        std::vector<double> first;
        for (unsigned i = 0; i < plan_.first_uses; ++i) {
          Process& client = target.add_client();
          client.ask("open 1");
          first.push_back(std::stod(client.ask("first ecdsa-logical")));
        }
        facts.first_use_ns = median(std::move(first));
      }
      if (target.name() == "p11-kit") facts.start_p11_kit_ns = std::stod(target.add_client().ask(command));
    }
  }

  std::vector<Cell> cells() const {
    std::vector<Cell> all;
    for (const Placement placement : plan_.placements) {
      for (const Workload& workload : kWorkloads) {
        for (const unsigned threads : placement == Placement::kFree ? plan_.threads : plan_.pinned_threads)
          all.push_back({placement, std::string(workload.name), threads});
      }
    }
    return all;
  }

  // The time of one round of an ordinary cell on one target; cells that decide a measure get twice that.
  milliseconds round_time() const {
    constexpr auto kQuick = milliseconds(10);
    if (options_.quick) return kQuick;
    std::size_t shares = 0;
    for (const Cell& cell : cells()) shares += (decides(cell) ? 2 : 1) * participants(cell);
    return milliseconds(options_.seconds * 1000 / (shares * plan_.rounds));
  }

  std::size_t participants(const Cell& cell) const {
    return static_cast<std::size_t>(
        std::count_if(targets_.begin(), targets_.end(), [&](const Target& target) { return target.takes_part(cell); }));
  }

  void measure_workloads() {
    using Clock = std::chrono::steady_clock;
    const milliseconds time = round_time();
    auto planned_end = Clock::now();
    std::optional<Placement> placed;
    for (const Cell& cell : cells()) {
      if (placed != cell.placement) {
        placed = cell.placement;
        std::cout << "measuring, placement: " << placement_name(cell.placement) << std::endl;
        for (Target& target : targets_) target.place(cell.placement);
      }
      // On a busy machine calls outlast their round: then cells do with fewer rounds, and the whole stays
      // bounded.
      const milliseconds share = decides(cell) ? 2 * time : time;
      planned_end += share * participants(cell) * plan_.rounds;
      for (unsigned round = 0; round < plan_.rounds; ++round) {
        if (round >= kFewestRounds && Clock::now() > planned_end) break;
        for (Target& target : targets_) {
          if (target.takes_part(cell)) measure(target, cell, share);
        }
      }
    }
  }

  // A peer that fails is out of that workload; our own failure ends the run.
  void measure(Target& target, const Cell& cell, milliseconds time) {
    try {
      results_.add(cell, target.name(), target.run(cell.workload, cell.threads, time));
    } catch (const std::runtime_error& failure) {
      if (!target.is_peer()) throw;
      std::cout << target.name() << " leaves: " << failure.what() << std::endl;
      target.refuse(cell.workload);
    }
  }

  // Placed like the last cells; processor time depends little on that, switches do.
  void measure_data_paths() {
    for (const Workload& workload : kWorkloads)
      for (Target& target : targets_)
        if (is_compared(target, workload))
          results_.add(target.data_path(workload.name, options_.quick ? milliseconds(10) : milliseconds(200)));
    if (!can_count_system_calls()) return;
    std::cout << "counting system calls" << std::endl;
    for (const char* workload : {"random-32", "ecdsa-logical", "find-and-read", "session-info", "aes-ecb-1m"})
      for (Target& target : targets_)
        if (is_compared(target, {workload, nullptr}))
          if (auto calls = count_system_calls(target, workload, plan_.counted_operations, paths_.folder))
            results_.add(std::move(*calls));
  }

  static bool is_compared(const Target& target, const Workload& workload) {
    return !target.name().starts_with("echo") && target.name() != "shim-spin" && target.name() != "shim-socket" &&
           target.offers(std::string(workload.name));
  }

  void report() const {
    print_ratios(std::cout, results_);
    print_data_paths(std::cout, results_);
    print_system_calls(std::cout, results_);
    const nlohmann::json document = report_document(results_, options_.module.string());
    nlohmann::json comparison;
    if (!options_.compare.empty()) {
      comparison = compare_reports(read_report(options_.compare), document);
      print_comparison(std::cout, comparison);
    }
    write(options_.json, document.dump(1) + '\n');
    if (!options_.html.empty()) write(options_.html, html_page(document, comparison));
    if (!options_.quick) print_measures(std::cout, results_);
  }

  static void write(const std::filesystem::path& file, const std::string& text) {
    if (file.empty()) return;
    std::ofstream out(file);
    if (!(out << text) || !out.flush()) throw std::runtime_error("cannot write " + file.string());
  }

  const Options& options_;
  const BenchPaths& paths_;
  const Plan plan_;
  std::vector<Target> targets_;
  Results results_;
};

// 10,000 applications are as many connections: let proxyd have them.
void raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(const Options& options) {
  if (!options.compare.empty()) read_report(options.compare);  // before minutes are spent
  raise_file_limit();
  ::signal(SIGPIPE, SIG_IGN);
  const Folder folder;
  ::setenv("SOFTHSM2_CONF", write_softhsm_configuration(folder.path()).c_str(), 1);
  const BenchPaths paths{options.module, options.programs, folder.path()};
  Bench(options, paths).run();
  return 0;
}

}  // namespace
}  // namespace p11shim

int main(int argc, char** argv) {
  p11shim::Options options;
  options.programs = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  CLI::App app{"Compares a PKCS#11 module called directly with ways to reach it through other processes"};
  app.add_option("--module", options.module, "the vendor module")->capture_default_str();
  app.add_option("--programs", options.programs, "folder of shimctl and of the benchmark's client");
  app.add_option("--targets", options.targets, "which to compare: direct, shim, p11-kit, caml-crush, echo")
      ->delimiter(',');
  app.add_option("--seconds", options.seconds, "time for the workloads, together")->capture_default_str();
  app.add_option("--applications", options.applications, "idle ones, connected at one time")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--sessions", options.sessions, "of one application, open at one time")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--json", options.json, "also write everything into this file");
  app.add_option("--html", options.html, "also write a page with plots");
  app.add_option("--compare", options.compare, "an earlier --json file to compare with")->check(CLI::ExistingFile);
  app.add_flag("--quick", options.quick, "one short round: proves results, says nothing about speed");
  app.footer(
      "Examples:\n"
      "  p11shim-bench --quick                                   are all results right? Seconds, no targets\n"
      "  p11shim-bench --json now.json --html now.html           everything, some six minutes\n"
      "  p11shim-bench --compare last.json --json now.json       and what has changed since\n"
      "  p11shim-bench --module /usr/lib/vendor.so --seconds 60  another module, less time for the workloads");
  CLI11_PARSE(app, argc, argv);
  try {
    return p11shim::run(options);
  } catch (const std::exception& failure) {
    std::cerr << "bench: " << failure.what() << '\n';
    return 1;
  }
}
