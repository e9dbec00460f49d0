#include "network.h"

#include <array>

#include "stopwatch.h"

namespace p11shim {
namespace {

using std::chrono::microseconds;

constexpr microseconds kOneWay{500};
constexpr std::array kRemote{"ecdsa-logical", "find-and-read", "random-32"};

// Nanoseconds: as it is, and with the delay.
struct Times {
  double near = 0;
  double far = 0;
};

// The time in the module is left out: it is the same near and far, but varies by more than what is sought.
Times time(Target& target, const char* workload, std::chrono::milliseconds round, const Stopwatch* watch) {
  Times times;
  const auto run = [&] {
    if (watch != nullptr) return watch->run(target, workload, round).added_ns;
    return target.run(workload, 1, round).mean_ns();
  };
  target.delay(microseconds(0));
  times.near = run();
  target.delay(kOneWay);
  times.far = run();
  return times;
}

}  // namespace

void measure_network(const BenchPaths& paths, std::chrono::milliseconds round, unsigned rounds, Facts& facts) {
  const Stopwatch watch(paths, "shim-tcp");
  Target echo = Target::remote_echo(paths);
  Target shim = Target::remote_shim(watch.paths());
  echo.open(1);
  shim.open(1);
  for (const char* workload : kRemote) {
    std::vector<double> trips;
    std::vector<double> far;
    for (unsigned i = 0; i < rounds; ++i) {
      const Times raw = time(echo, workload, round, nullptr);
      const Times ours = time(shim, workload, round, &watch);
      if (raw.far > raw.near) trips.push_back((ours.far - ours.near) / (raw.far - raw.near));
      far.push_back(ours.far);
    }
    if (const auto counted = median(std::move(trips))) facts.round_trips[workload] = *counted;
    facts.remote_time_ns[workload] = median(std::move(far)).value_or(0);
  }
}

}  // namespace p11shim
