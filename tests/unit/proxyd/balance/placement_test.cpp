#include "proxyd/balance/placement.h"

#include <gtest/gtest.h>

#include <map>

namespace p11shim {
namespace {

using Shares = std::map<std::size_t, int>;

Shares shares(Strategy strategy, const std::vector<Candidate>& candidates, int calls = 6000) {
  std::mt19937_64 random{7};
  Placement placement(strategy, random);
  Shares counted;
  for (int i = 0; i < calls; ++i) {
    std::vector<Candidate> copy = candidates;
    ++counted[placement.choose(copy)];
  }
  return counted;
}

TEST(Placement, TheLowestPriorityIsUsedAlone) {
  for (const Strategy strategy :
       {Strategy::least_latency, Strategy::least_outstanding, Strategy::round_robin, Strategy::failover})
    EXPECT_EQ(shares(strategy, {{0, 1, 0, 100, 5}, {1, 100, 9, 100, 2}}), (Shares{{1, 6000}}));
}

TEST(Placement, RoundRobinKeepsToWeights) {
  EXPECT_EQ(shares(Strategy::round_robin, {{0, 0, 0, 100, 0}, {1, 0, 0, 200, 0}, {2, 0, 0, 300, 0}}),
            (Shares{{0, 1000}, {1, 2000}, {2, 3000}}));
}

TEST(Placement, FailoverTakesTheFirst) {
  EXPECT_EQ(shares(Strategy::failover, {{2, 0, 0, 100, 0}, {1, 50, 9, 100, 0}}), (Shares{{1, 6000}}));
}

TEST(Placement, LeastOutstandingWeighsAndIsFairAmongEquals) {
  EXPECT_EQ(shares(Strategy::least_outstanding, {{0, 0, 3, 100, 0}, {1, 0, 4, 200, 0}}), (Shares{{1, 6000}}));
  for (const auto& [member, count] :
       shares(Strategy::least_outstanding, {{0, 0, 1, 100, 0}, {1, 0, 1, 100, 0}, {2, 0, 1, 100, 0}}))
    EXPECT_NEAR(count, 2000, 200) << member;
}

TEST(Placement, LeastLatencyNeverTakesTheWorst) {
  const Shares counted =
      shares(Strategy::least_latency, {{0, 1, 0, 100, 0}, {1, 1, 0, 100, 0}, {2, 1, 0, 100, 0}, {3, 10, 0, 100, 0}});
  EXPECT_FALSE(counted.contains(3));
  EXPECT_GT(counted.at(0), 1000);
}

TEST(Placement, WeightsAreSharesOfWhatEqualMembersDo) {
  for (const Strategy strategy : {Strategy::least_latency, Strategy::least_outstanding}) {
    const Shares two = shares(strategy, {{0, 1, 0, 200, 0}, {1, 1.1, 0, 100, 0}});
    EXPECT_NEAR(two.at(0), 4000, 200);
    const Shares three = shares(strategy, {{0, 1, 0, 100, 0}, {1, 1, 0, 300, 0}, {2, 1, 0, 200, 0}});
    EXPECT_NEAR(three.at(1), 3000, 200);
    EXPECT_NEAR(three.at(2), 2000, 200);
  }
  // Also with their share under way.
  EXPECT_NEAR(shares(Strategy::least_latency, {{0, 5, 4, 400, 0}, {1, 2, 1, 100, 0}}).at(0), 4800, 200);
}

TEST(Placement, NoWeightMakesUpForAMemberThatIsMuchSlower) {
  EXPECT_EQ(shares(Strategy::least_latency, {{0, 10, 0, 300, 0}, {1, 1, 0, 100, 0}}), (Shares{{1, 6000}}));
}

}  // namespace
}  // namespace p11shim
