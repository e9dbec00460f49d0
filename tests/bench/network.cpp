#include "network.h"

#include <array>

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

Times time(Target& target, const char* workload, std::chrono::milliseconds round) {
  Times times;
  target.delay(microseconds(0));
  times.near = static_cast<double>(target.run(workload, 1, round).median.count());
  target.delay(kOneWay);
  times.far = static_cast<double>(target.run(workload, 1, round).median.count());
  return times;
}

}  // namespace

void measure_network(const BenchPaths& paths, std::chrono::milliseconds round, unsigned rounds, Facts& facts) {
  Target echo = Target::remote_echo(paths);
  Target shim = Target::remote_shim(paths);
  echo.open(1);
  shim.open(1);
  for (const char* workload : kRemote) {
    std::vector<double> trips;
    std::vector<double> far;
    for (unsigned i = 0; i < rounds; ++i) {
      const Times raw = time(echo, workload, round);
      const Times ours = time(shim, workload, round);
      if (raw.far > raw.near) trips.push_back((ours.far - ours.near) / (raw.far - raw.near));
      far.push_back(ours.far);
    }
    if (const auto counted = median(std::move(trips))) facts.round_trips[workload] = *counted;
    facts.remote_time_ns[workload] = median(std::move(far)).value_or(0);
  }
}

}  // namespace p11shim
