// What a measuring command answers, p11shim.bench.run/1, in all the forms that were asked for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/shimctl/bench/measurement.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

inline constexpr char kBenchSchema[] = "p11shim.bench.run/1";

struct BenchOutput {
  std::string save;        // JSON file, besides what goes to standard output
  std::string report;      // HTML file
  std::string prometheus;  // text file
  bool histogram = false;
};

// Throws Failure (kUsage) if one of the files could not be written: that is better known before hours of measuring.
void check_outputs(const BenchOutput& output);

class BenchDocument {
 public:
  // `kind`: run, stress, mix, suite, sweep, capacity.
  BenchDocument(const std::string& kind, const BenchSettings& settings, std::vector<BenchTarget>& targets);

  void add(std::vector<nlohmann::json> tests);
  void set(const std::string& key, nlohmann::json value) { data_[key] = std::move(value); }
  const nlohmann::json& tests() const { return tests_; }

  // Writes it everywhere. The exit code: kPartial if the run was interrupted or operations failed, kNegative
  // if nothing could be measured.
  ExitCode finish(const Invocation& invocation, const BenchOutput& output, const Interruption& interruption);

 private:
  nlohmann::json whole() const;
  void say(const Invocation& invocation) const;
  void write_stdout(const Invocation& invocation, const BenchOutput& output) const;

  nlohmann::json data_;
  nlohmann::json tests_ = nlohmann::json::array();
};

}  // namespace p11shim
