#include "proxyd/balance/placement.h"

#include <algorithm>

namespace p11shim {
namespace {
constexpr double kMuchWorse = 2;
}

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

// Power of two choices: good as the best of all, and no herd follows one measurement. Where weights differ the first is drawn by
// them, so that they are shares of the calls, and gives way only to one that is much better.
std::size_t Placement::least_latency(std::span<const Candidate> tier) {
  std::uint64_t total = 0;
  bool equal = true;
  for (const Candidate& each : tier) {
    total += each.weight;
    equal &= each.weight == tier[0].weight;
  }
  std::size_t first = 0;
  if (equal) {
    first = std::uniform_int_distribution<std::size_t>(0, tier.size() - 1)(random_);
  } else {
    std::uint64_t drawn = std::uniform_int_distribution<std::uint64_t>(1, total)(random_);
    for (; drawn > tier[first].weight; ++first) drawn -= tier[first].weight;
  }
  std::uniform_int_distribution<std::size_t> other(1, tier.size() - 1);
  const Candidate& a = tier[first];
  const Candidate& b = tier[(first + other(random_)) % tier.size()];
  if (equal) return a.cost <= b.cost ? a.member : b.member;
  // Whoever gets more calls has more under way: that is its share, and no sign of trouble.
  const double mean = static_cast<double>(total) / static_cast<double>(tier.size());
  const auto load = [mean](const Candidate& each) {
    return each.cost / (each.outstanding + 1) * (1 + each.outstanding * mean / each.weight);
  };
  return load(a) <= kMuchWorse * load(b) ? a.member : b.member;
}

std::size_t Placement::least_outstanding(std::span<const Candidate> tier) {
  const Candidate* best = nullptr;
  std::uint64_t equals = 0;  // their weight
  for (const Candidate& each : tier) {
    const std::uint64_t mine = best == nullptr ? 0 : std::uint64_t{each.outstanding} * best->weight;
    const std::uint64_t its = best == nullptr ? 1 : std::uint64_t{best->outstanding} * each.weight;
    if (mine > its) continue;
    // Those that are equal get calls by their weights.
    equals = (mine == its ? equals : 0) + each.weight;
    if (std::uniform_int_distribution<std::uint64_t>(1, equals)(random_) <= each.weight) best = &each;
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
