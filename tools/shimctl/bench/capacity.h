// How many HSMs of one kind a rate and a 99th percentile need: arithmetic on measured service times.
//
// Each HSM serves `parallel` operations at once; all of them together are the servers of one queue (M/G/k), since
// proxyd sends an operation wherever a lane is free. Waiting times by Erlang C with the Allen-Cunneen correction
// for service times that are not exponential; the response is waiting plus the measured distribution.
#pragma once

#include <cstdint>
#include <vector>

#include "proxyd/stats/histogram.h"

namespace p11shim {

class ServiceTimes {
 public:
  explicit ServiceTimes(const Histogram& measured);

  double mean_s() const { return mean_; }
  double squared_variation() const { return variation_; }
  struct Step {
    double seconds;
    double share;
  };
  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
  double mean_ = 0;
  double variation_ = 0;
};

// The probability that an arrival must wait, of `servers` with this load in Erlang. 1 if it is too much.
double erlang_c(double load, unsigned servers);

// Of the response in seconds; infinite if the servers cannot keep up.
double predicted_percentile(const ServiceTimes& times, double rate, unsigned servers, double percent);

// The same of simulated servers, which draw from the measured times: what the arithmetic is compared with.
double simulated_percentile(const ServiceTimes& times, double rate, unsigned servers, double percent,
                            std::uint64_t operations, std::uint64_t seed);

}  // namespace p11shim
