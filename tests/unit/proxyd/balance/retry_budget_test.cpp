#include "proxyd/balance/retry_budget.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

int taken(RetryBudget& budget, std::uint64_t now, int wanted) {
  int count = 0;
  for (int i = 0; i < wanted; ++i) count += budget.take(now);
  return count;
}

TEST(RetryBudget, IsAShareOfCallsAndAFewPerSecond) {
  RetryBudget budget({20, 10});
  for (int i = 0; i < 1000; ++i) budget.call(5000);
  EXPECT_EQ(taken(budget, 5000, 1000), 101);  // what is kept: 10/s for ten seconds
  EXPECT_EQ(taken(budget, 9000, 1000), 40);
  for (int i = 0; i < 200; ++i) budget.call(9000);
  EXPECT_EQ(taken(budget, 9000, 1000), 40);  // 20 %
  EXPECT_EQ(taken(budget, 60'000, 1000), 100);
}

TEST(RetryBudget, WhatWasBusyBeforeAnOutageMakesNoStorm) {
  RetryBudget budget({20, 10});
  for (std::uint64_t now = 1000; now < 11'000; ++now) budget.call(now);
  int calls = 0, retries = 0;
  for (std::uint64_t now = 11'000; now < 14'000; now += 2) {
    budget.call(now), ++calls;
    while (budget.take(now)) ++retries;
  }
  EXPECT_LE(retries, calls / 5 + 10 * 3 + 101);
}

TEST(RetryBudget, NoneIsNone) {
  RetryBudget budget({0, 0});
  budget.call(0);
  EXPECT_FALSE(budget.take(0));
}

TEST(RetryBudget, HoldsUnderTotalOutage) {
  RetryBudget budget({20, 10});
  int calls = 0, retries = 0;
  for (std::uint64_t now = 0; now < 60'000; now += 10) {
    budget.call(now), ++calls;
    while (budget.take(now)) ++retries;
  }
  EXPECT_LE(retries, calls / 5 + 10 * 70);
}

}  // namespace
}  // namespace p11shim
