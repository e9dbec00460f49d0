// Measures tests on one target or on two, interleaved.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/shimctl/bench/bench_target.h"
#include "tools/shimctl/bench/interruption.h"
#include "tools/shimctl/bench/load_record.h"
#include "tools/shimctl/bench/test_list.h"

namespace p11shim {

struct BenchSettings {
  std::vector<std::string> only{};
  std::string key{};
  bool make_keys = true;
  unsigned threads = 1;                                // of each connection
  unsigned connections = 1;                            // processes
  std::optional<std::chrono::nanoseconds> duration{};  // of each test; two seconds if there are no iterations
  std::uint64_t iterations = 0;
  std::chrono::nanoseconds warmup{std::chrono::seconds{1}};
  double rate = 0;
  bool poisson = false;
  std::vector<std::size_t> data_sizes{1024};
  std::string versus{};
  double alpha = 0.01;
  double tolerance = 0.1;
  std::uint64_t seed = 1;
};
nlohmann::json settings_json(const BenchSettings& settings);

struct MixPart {
  const BenchTest* test;
  double weight;
};

class Measurement {
 public:
  using Tick = std::function<void(std::size_t slice)>;

  Measurement(const Invocation& invocation, const BenchSettings& settings, BenchTargets& targets,
              Interruption& interruption)
      : invocation_(invocation), settings_(settings), targets_(targets), interruption_(interruption) {}

  // One record per target, and the comparison in the second one's. A test that cannot be measured here is one
  // record with the reason.
  std::vector<nlohmann::json> measure(const BenchTest& test, std::size_t data_size);
  // All parts at once, by their weights: one record per part, on the first target.
  std::vector<nlohmann::json> mix(const std::vector<MixPart>& parts);

  // As process `number` (from 1) of several: what the first one asks for, at the same time as it does.
  void assist(const nlohmann::json& wanted, Channel& parent, unsigned number);

  // For long runs: slices of this length, and somebody who is told when each begins, and at the end.
  void watch(std::chrono::nanoseconds interval, Tick tick);

 private:
  using Operations = std::vector<std::vector<std::unique_ptr<Operation>>>;
  struct Stage;

  // Throws TestSkipped, CallError.
  void prepare(Stage& stage, const BenchTest& test, std::size_t data_size);
  void prepare_mix(Stage& stage, const std::vector<MixPart>& parts);
  // This process's part of what is to be done.
  LoadPlan plan_for(const Operations& operations) const;
  void set_slices(LoadPlan& plan, double operation_s) const;
  // With the other processes, which are told `what`. The plan is of all of them then.
  LoadResult run(Stage& stage, nlohmann::json what);
  void record(nlohmann::json& record, const Stage& stage, std::size_t lane) const;

  const Invocation& invocation_;
  const BenchSettings& settings_;
  BenchTargets& targets_;
  Interruption& interruption_;
  std::chrono::nanoseconds interval_{0};
  Tick tick_{};
  unsigned number_ = 0;  // of this process
};

// What another process of --connections does until the first one ends.
void assist_measurements(const Invocation& invocation, Channel& parent, unsigned number);

// {"fixed_ns", "per_byte_ns", "r2", "bytes_per_second"} for each test that was measured with several sizes.
nlohmann::json cost_fits(const nlohmann::json& tests);

}  // namespace p11shim
