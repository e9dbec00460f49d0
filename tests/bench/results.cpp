#include "results.h"

#include <algorithm>

namespace p11shim {
namespace {

double per_second(const Timing& timing) {
  return static_cast<double>(timing.operations) * 1e9 / static_cast<double>(timing.elapsed.count());
}

double latency(const Timing& timing) { return static_cast<double>(timing.median.count()); }

template <class Figure>
std::optional<double> median_of(const Results::Rounds* rounds, Figure figure) {
  if (rounds == nullptr) return std::nullopt;
  std::vector<double> values;
  for (const Timing& timing : *rounds) values.push_back(figure(timing));
  return median(std::move(values));
}

template <class Figure>
std::optional<double> median_ratio(const Results::Rounds* over, const Results::Rounds* under, Figure figure) {
  if (over == nullptr || under == nullptr) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(over->size(), under->size()); ++i) {
    const double divisor = figure((*under)[i]);
    if (divisor > 0) ratios.push_back(figure((*over)[i]) / divisor);
  }
  return median(std::move(ratios));
}

}  // namespace

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

const Results::Rounds* Results::rounds(const Cell& cell, const std::string& target) const {
  const auto found = cells_.find(cell);
  if (found == cells_.end()) return nullptr;
  const auto its = found->second.find(target);
  return its == found->second.end() ? nullptr : &its->second;
}

std::optional<double> Results::throughput(const Cell& cell, const std::string& target) const {
  return median_of(rounds(cell, target), per_second);
}

std::optional<double> Results::latency_ns(const Cell& cell, const std::string& target) const {
  return median_of(rounds(cell, target), latency);
}

std::optional<double> Results::throughput_ratio(const Cell& cell, const std::string& over,
                                                const std::string& under) const {
  return median_ratio(rounds(cell, over), rounds(cell, under), per_second);
}

std::optional<double> Results::latency_ratio(const Cell& cell, const std::string& over,
                                             const std::string& under) const {
  return median_ratio(rounds(cell, over), rounds(cell, under), latency);
}

std::optional<double> Results::added_ratio(const Cell& cell, const std::string& over, const std::string& under,
                                           const std::string& base) const {
  const Rounds *ours = rounds(cell, over), *theirs = rounds(cell, under), *least = rounds(cell, base);
  if (ours == nullptr || theirs == nullptr || least == nullptr) return std::nullopt;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min({ours->size(), theirs->size(), least->size()}); ++i) {
    const double alone = latency((*least)[i]), divisor = latency((*theirs)[i]) - alone;
    if (divisor > 0) ratios.push_back((latency((*ours)[i]) - alone) / divisor);
  }
  return median(std::move(ratios));
}

}  // namespace p11shim
