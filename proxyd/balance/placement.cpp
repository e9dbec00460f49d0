#include "proxyd/balance/placement.h"

#include <algorithm>

namespace p11shim {

std::size_t Placement::choose(std::span<Candidate> candidates) {
  std::uint32_t lowest = UINT32_MAX;
  for (const Candidate& each : candidates) lowest = std::min(lowest, each.priority);
  const auto end = std::partition(candidates.begin(), candidates.end(),
                                  [&](const Candidate& each) { return each.priority == lowest; });
  const std::span<Candidate> tier = candidates.first(static_cast<std::size_t>(end - candidates.begin()));
  if (tier.size() == 1) return tier[0].member;
  switch (strategy_) {
    case Strategy::least_latency: return least_latency(tier);
    case Strategy::least_outstanding: return least_outstanding(tier);
    case Strategy::round_robin: return round_robin(tier);
    case Strategy::failover: break;
  }
  return std::min_element(tier.begin(), tier.end(),
                          [](const Candidate& a, const Candidate& b) { return a.member < b.member; })
      ->member;
}

// Power of two choices: good as the best of all, and no herd follows one measurement.
std::size_t Placement::least_latency(std::span<const Candidate> tier) {
  std::uniform_int_distribution<std::size_t> any(0, tier.size() - 1);
  std::uniform_int_distribution<std::size_t> other(1, tier.size() - 1);
  const std::size_t first = any(random_);
  const Candidate& a = tier[first];
  const Candidate& b = tier[(first + other(random_)) % tier.size()];
  return a.cost * b.weight <= b.cost * a.weight ? a.member : b.member;
}

std::size_t Placement::least_outstanding(std::span<const Candidate> tier) {
  const Candidate* best = nullptr;
  std::uint32_t equals = 0;
  for (const Candidate& each : tier) {
    const std::uint64_t mine = best == nullptr ? 0 : std::uint64_t{each.outstanding} * best->weight;
    const std::uint64_t its = best == nullptr ? 1 : std::uint64_t{best->outstanding} * each.weight;
    if (mine > its) continue;
    // Each of those that are equal is as likely as the others.
    equals = mine == its ? equals + 1 : 1;
    if (std::uniform_int_distribution<std::uint32_t>(1, equals)(random_) == 1) best = &each;
  }
  return best->member;
}

// Smooth and weighted: each gains its weight per turn, the richest pays for all.
std::size_t Placement::round_robin(std::span<const Candidate> tier) {
  std::int64_t total = 0;
  const Candidate* richest = nullptr;
  for (const Candidate& each : tier) {
    if (credit_.size() <= each.member) credit_.resize(each.member + 1);
    total += each.weight;
    credit_[each.member] += each.weight;
    if (richest == nullptr || credit_[each.member] > credit_[richest->member]) richest = &each;
  }
  credit_[richest->member] -= total;
  return richest->member;
}

}  // namespace p11shim
