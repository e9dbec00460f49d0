// p11shim-bench: the module called directly, shim + proxyd, p11-kit's server and a bare socket, side by side
// in one run. Rounds go through all targets in turn, so what disturbs the machine disturbs all of them;
// results are ratios. The exit status tells whether everything worked, never whether it was fast.
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "measures.h"
#include "report.h"
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
  std::vector<std::string> targets{"direct", "shim", "p11-kit", "echo"};
  unsigned seconds = 200;
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
  std::vector<unsigned> threads;
  unsigned rounds;
  unsigned applications;
  unsigned sessions;
};

Plan full_plan() {
  Plan plan{{Placement::kFree, Placement::kOneCore}, {1, 2, 8, 32}, 5, 2000, 10'000};
  if (has_two_cores()) plan.placements.push_back(Placement::kTwoCores);
  return plan;
}

Plan quick_plan() { return {{Placement::kFree}, {1, 8}, 1, 20, 100}; }

class Bench {
 public:
  Bench(const Options& options, const BenchPaths& paths)
      : options_(options), paths_(paths), plan_(options.quick ? quick_plan() : full_plan()) {}

  void run() {
    start_targets();
    if (has("shim")) measure_memory();
    measure_start();
    measure_workloads();
    measure_data_paths();
    print_ratios(std::cout, results_);
    print_data_paths(std::cout, results_);
    if (!options_.quick) print_measures(std::cout, results_);
    if (!options_.json.empty()) write_json(options_.json, results_);
  }

 private:
  static constexpr unsigned kFewestRounds = 3;

  bool has(const std::string& name) const {
    return std::find(options_.targets.begin(), options_.targets.end(), name) != options_.targets.end();
  }

  void start_targets() {
    Target::direct(paths_).client().ask("prepare");
    if (has("direct")) targets_.push_back(Target::direct(paths_));
    if (has("shim")) targets_.push_back(Target::shim(paths_));
    if (has("p11-kit")) {
      if (Target::p11_kit_is_installed()) targets_.push_back(Target::p11_kit(paths_));
      else std::cout << "p11-kit is not installed: not compared\n";
    }
    if (has("echo")) targets_.push_back(Target::echo(paths_));
    for (Target& target : targets_) {
      target.open(plan_.threads.back());
      if (target.name() != "echo") std::cout << target.name() << ": results are right" << std::endl;
    }
  }

  // On a proxyd of its own: what other clients left behind must not count.
  void measure_memory() {
    Facts& facts = results_.facts();
    {
      Target target = Target::shim(paths_);
      const pid_t proxyd = target.proxyd();
      target.client().ask("sessions 1");
      const double before = static_cast<double>(private_bytes(proxyd));
      target.client().ask("sessions " + std::to_string(plan_.sessions));
      facts.session_bytes = (static_cast<double>(private_bytes(proxyd)) - before) / plan_.sessions;
    }
    Target first = Target::shim(paths_);
    const pid_t proxyd = first.proxyd();
    first.client().ask("sessions 1");
    const double before = static_cast<double>(private_bytes(proxyd));
    Process& crowd = start_crowd(first);
    facts.application_bytes = (static_cast<double>(private_bytes(proxyd)) - before) / plan_.applications;
    crowd.ask("crowd-call");
    facts.applications_held = plan_.applications;
    crowd.ask("crowd-end");
  }

  Process& start_crowd(Target& target) {
    Process& process = target.add_client();
    process.ask("crowd " + std::to_string(plan_.applications));
    return process;
  }

  void measure_start() {
    const std::string command = options_.quick ? "start 3" : "start 40";
    Facts& facts = results_.facts();
    for (Target& target : targets_) {
      if (target.name() == "shim") facts.start_shim_ns = std::stod(target.add_client().ask(command));
      if (target.name() == "p11-kit") facts.start_p11_kit_ns = std::stod(target.add_client().ask(command));
    }
  }

  std::vector<Cell> cells() const {
    std::vector<Cell> all;
    for (const Placement placement : plan_.placements) {
      for (const Workload& workload : kWorkloads) {
        for (const unsigned threads : plan_.threads) all.push_back({placement, std::string(workload.name), threads});
      }
    }
    return all;
  }

  // The time of one round of an ordinary cell on one target; cells that decide a measure get twice that.
  milliseconds round_time() const {
    constexpr auto kQuick = milliseconds(10);
    if (options_.quick) return kQuick;
    std::size_t shares = 0;
    for (const Cell& cell : cells()) shares += decides(cell) ? 2 : 1;
    return milliseconds(options_.seconds * 1000 / (shares * targets_.size() * plan_.rounds));
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
      planned_end += share * targets_.size() * plan_.rounds;
      for (unsigned round = 0; round < plan_.rounds; ++round) {
        if (round >= kFewestRounds && Clock::now() > planned_end) break;
        for (Target& target : targets_) {
          if (target.name() == "echo" && !is_round_trip(cell)) continue;
          if (!target.offers(cell.workload)) continue;
          results_.add(cell, target.name(), target.run(cell.workload, cell.threads, share));
        }
      }
    }
  }

  // Placed like the last cells; processor time depends little on that, switches do.
  void measure_data_paths() {
    for (const Workload& workload : kWorkloads)
      for (Target& target : targets_)
        if (target.name() != "echo" && target.offers(std::string(workload.name)))
          results_.add(target.data_path(workload.name, options_.quick ? milliseconds(10) : milliseconds(200)));
  }

  const Options& options_;
  const BenchPaths& paths_;
  const Plan plan_;
  std::vector<Target> targets_;
  Results results_;
};

// 2,000 applications are 2,000 connections: let proxyd have them.
void raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int run(const Options& options) {
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
  app.add_option("--targets", options.targets, "which to compare")->delimiter(',');
  app.add_option("--seconds", options.seconds, "time for the workloads, together")->capture_default_str();
  app.add_option("--json", options.json, "also write everything into this file");
  app.add_flag("--quick", options.quick, "one short round: proves results, says nothing about speed");
  CLI11_PARSE(app, argc, argv);
  try {
    return p11shim::run(options);
  } catch (const std::exception& failure) {
    std::cerr << "bench: " << failure.what() << '\n';
    return 1;
  }
}
