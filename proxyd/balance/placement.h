// Chooses one of the members that may run a call.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "proxyd/config/config.h"

namespace p11shim {

struct Candidate {
  std::size_t member = 0;  // its index in the pool
  double cost = 0;         // Health::cost
  std::uint32_t outstanding = 0;
  std::uint32_t weight = 100;
  std::uint32_t priority = 0;
};

class Placement {
 public:
  Placement(Strategy strategy, std::mt19937_64& random) : strategy_(strategy), random_(random) {}
  // `candidates` is not empty, and is reordered. Only the lowest priority among them matters.
  std::size_t choose(std::span<Candidate> candidates);

 private:
  std::size_t least_latency(std::span<const Candidate> tier);
  std::size_t least_outstanding(std::span<const Candidate> tier);
  std::size_t round_robin(std::span<const Candidate> tier);

  const Strategy strategy_;
  std::mt19937_64& random_;
  std::vector<std::int64_t> credit_;  // round robin: by member, what it is owed
};

}  // namespace p11shim
