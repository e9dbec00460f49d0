// What was measured. Every figure is a median over rounds; every ratio is the median of the rounds' own
// ratios, whose two sides ran within the same second: drift of the machine cancels out.
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "placement.h"
#include "timing.h"
#include "usage.h"

namespace p11shim {

struct Cell {
  Placement placement;
  std::string workload;
  unsigned threads;
  auto operator<=>(const Cell&) const = default;
};

// Single numbers that are not timings of workloads.
struct Facts {
  std::optional<double> application_bytes;  // of proxyd, per idle application
  std::optional<double> session_bytes;      // of proxyd, per idle virtual session
  std::optional<double> applications_held;  // each of them was still served
  std::optional<double> sessions_held;
  std::optional<double> first_use_ns;         // of a key, in a fresh application: ecdsa-logical
  std::map<unsigned, double> cpu_per_call;    // of proxyd, in nanoseconds, by idle applications beside the active ones
  std::map<std::string, double> round_trips;  // over the network, by workload
  std::map<std::string, double> remote_time_ns;  // the same operations' time, less the module's own
  // Per operation, one thread on one core: what we add, what the module takes, and ours over what p11-kit adds.
  std::map<std::string, double> added_ns, inside_ns, added_over_peer;
  std::map<std::string, std::string> unavailable;  // peers, and why
  std::optional<double> start_shim_ns;             // C_Initialize to an open session
  std::optional<double> start_p11_kit_ns;
};

std::optional<double> median(std::vector<double> values);

class Results {
 public:
  using Rounds = std::vector<Timing>;

  void add(const Cell& cell, const std::string& target, const Timing& timing) {
    cells_[cell][target].push_back(timing);
  }

  std::optional<double> throughput(const Cell& cell, const std::string& target) const;
  std::optional<double> latency_ns(const Cell& cell, const std::string& target) const;  // one thread only
  std::optional<double> throughput_ratio(const Cell& cell, const std::string& over, const std::string& under) const;
  std::optional<double> latency_ratio(const Cell& cell, const std::string& over, const std::string& under) const;
  // What `over` takes beyond `base`, over what `under` takes beyond it.
  std::optional<double> added_ratio(const Cell& cell, const std::string& over, const std::string& under,
                                    const std::string& base) const;

  const std::map<Cell, std::map<std::string, Rounds>>& cells() const { return cells_; }
  void add(DataPath path) { data_paths_.push_back(std::move(path)); }
  const std::vector<DataPath>& data_paths() const { return data_paths_; }
  void add(SystemCalls calls) { system_calls_.push_back(std::move(calls)); }
  const std::vector<SystemCalls>& system_calls() const { return system_calls_; }
  Facts& facts() { return facts_; }
  const Facts& facts() const { return facts_; }

 private:
  const Rounds* rounds(const Cell& cell, const std::string& target) const;

  std::map<Cell, std::map<std::string, Rounds>> cells_;
  Facts facts_;
  std::vector<DataPath> data_paths_;
  std::vector<SystemCalls> system_calls_;
};

}  // namespace p11shim
