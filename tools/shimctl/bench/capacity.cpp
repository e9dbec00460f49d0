#include "tools/shimctl/bench/capacity.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <queue>
#include <random>

namespace p11shim {

namespace {

constexpr double kForever = HUGE_VAL;

double waits_longer(double seconds, double probability, double decay) {
  return seconds < 0 ? 1 : probability * std::exp(-seconds * decay);
}

}  // namespace

ServiceTimes::ServiceTimes(const Histogram& measured) {
  const auto count = static_cast<double>(measured.count());
  double squares = 0;
  const nlohmann::json raw = measured.raw();
  for (const auto& bucket : raw["buckets"]) {
    const auto low = bucket[0].get<std::uint64_t>();
    const int width_bits =
        std::max(0, static_cast<int>(std::bit_width(low)) - 1 - static_cast<int>(Histogram::kSubBucketBits));
    const double seconds = (static_cast<double>(low) + std::ldexp(0.5, width_bits)) / 1e9;
    const double share = bucket[1].get<double>() / count;
    steps_.push_back({seconds, share});
    mean_ += share * seconds;
    squares += share * seconds * seconds;
  }
  variation_ = mean_ > 0 ? std::max(0.0, squares / (mean_ * mean_) - 1) : 0;
}

double erlang_c(double load, unsigned servers) {
  if (load >= servers) return 1;
  double blocked = 1;  // Erlang B, server by server
  for (unsigned k = 1; k <= servers; ++k) blocked = load * blocked / (k + load * blocked);
  const double use = load / servers;
  return blocked / (1 - use + use * blocked);
}

double predicted_percentile(const ServiceTimes& times, double rate, unsigned servers, double percent) {
  const double load = rate * times.mean_s();
  if (load >= servers) return kForever;
  const double probability = erlang_c(load, servers);
  const double decay = (servers / times.mean_s() - rate) * 2 / (1 + times.squared_variation());
  const double wanted = 1 - percent / 100;
  const auto longer = [&](double seconds) {
    double sum = 0;
    for (const auto& step : times.steps()) sum += step.share * waits_longer(seconds - step.seconds, probability, decay);
    return sum;
  };
  double low = 0;
  double high = times.steps().back().seconds + times.mean_s();
  while (longer(high) > wanted && high < 1e9) high *= 2;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (longer(middle) > wanted ? low : high) = middle;
  }
  return high;
}

double simulated_percentile(const ServiceTimes& times, double rate, unsigned servers, double percent,
                            std::uint64_t operations, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(rate);
  std::vector<double> shares;
  for (const auto& step : times.steps()) shares.push_back(step.share);
  std::discrete_distribution<std::size_t> pick(shares.begin(), shares.end());
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at;
  for (unsigned i = 0; i < servers; ++i) free_at.push(0);
  std::vector<double> responses;
  double now = 0;
  for (std::uint64_t i = 0; i < operations; ++i) {
    now += gap(random);
    const double begin = std::max(now, free_at.top());
    const double end = begin + times.steps()[pick(random)].seconds;
    free_at.pop();
    free_at.push(end);
    if (i >= operations / 10) responses.push_back(end - now);  // the queue fills first
  }
  const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(responses.size() - 1));
  std::nth_element(responses.begin(), responses.begin() + static_cast<std::ptrdiff_t>(rank), responses.end());
  return responses[rank];
}

}  // namespace p11shim
