#include "proxyd/loop/courtesy.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace p11shim {
namespace {

class CourtesyRuleTest : public testing::Test {
 protected:
  // So many times since the last look this thread waited so long.
  bool look(std::uint64_t times, std::uint64_t each_ns) {
    waits.times += times;
    waits.waited_ns += times * each_ns;
    now += CourtesyRule::kPeriod;
    EXPECT_TRUE(rule.is_due(now));
    return rule.look(waits, now);
  }
  void pass(std::uint64_t ms) {
    for (const auto end = now + ms; now < end;) look(100, 5'000);
  }

  CourtesyRule rule;
  ProcessorWaits waits{1'000, 77'000'000'000};  // from before: they do not count
  std::uint64_t now = 1'000'000;
};

constexpr std::uint64_t kLong = 2 * CourtesyRule::kLongestWait;

TEST_F(CourtesyRuleTest, WhatWasBeforeTheFirstLookDoesNotCount) { EXPECT_TRUE(look(0, 0)); }

TEST_F(CourtesyRuleTest, ShortWaitsAreThePriceOfIt) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(look(1'000, CourtesyRule::kLongestWait));
}

TEST_F(CourtesyRuleTest, LongWaitsEndIt) {
  look(0, 0);
  EXPECT_FALSE(look(100, kLong));
}

TEST_F(CourtesyRuleTest, AFewLongWaitsAreNoMean) {
  look(0, 0);
  EXPECT_TRUE(look(CourtesyRule::kFewest - 1, kLong));
}

TEST_F(CourtesyRuleTest, ItIsTriedAgainAfterAPause) {
  look(0, 0);
  ASSERT_FALSE(look(100, kLong));
  const std::uint64_t began = now;
  while (now < began + CourtesyRule::kFirstPause - CourtesyRule::kPeriod)
    ASSERT_FALSE(look(100, 0)) << now - began << " ms";
  EXPECT_TRUE(look(100, 0));
}

TEST_F(CourtesyRuleTest, EachTryInVainMakesThePauseLonger) {
  look(0, 0);
  std::uint64_t last = 0;
  for (int tries = 0; tries < 10; ++tries) {
    ASSERT_FALSE(look(100, kLong));
    const std::uint64_t began = now;
    while (!look(100, 0)) ASSERT_LE(now - began, CourtesyRule::kLongestPause);
    EXPECT_GE(now - began, last);
    last = now - began;
  }
  EXPECT_EQ(last, CourtesyRule::kLongestPause);
}

TEST_F(CourtesyRuleTest, ACalmMinuteForgetsThePause) {
  look(0, 0);
  for (int tries = 0; tries < 4; ++tries) {
    ASSERT_FALSE(look(100, kLong));
    while (!look(100, 0)) continue;
  }
  pass(CourtesyRule::kLongestPause + 2 * CourtesyRule::kPeriod);
  ASSERT_FALSE(look(100, kLong));
  const std::uint64_t began = now;
  while (!look(100, 0)) ASSERT_LE(now - began, CourtesyRule::kLongestPause);
  EXPECT_EQ(now - began, CourtesyRule::kFirstPause);
}

TEST(Courtesy, BeginsWhereThePolicyIsTheUsualOne) {
  std::thread([] {
    if (sched_getscheduler(0) != SCHED_OTHER) GTEST_SKIP() << "these tests run with another policy";
    Courtesy courtesy;
    courtesy.begin();
    if (sched_getscheduler(0) == SCHED_OTHER) GTEST_SKIP() << "the kernel does not tell how long threads wait";
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    courtesy.look(1'000'000);
    courtesy.look(2'000'000);
  }).join();
}

TEST(Courtesy, LeavesAPolicyThatSomebodyChose) {
  std::thread([] {
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) GTEST_SKIP() << "this kernel has no SCHED_IDLE";
    Courtesy courtesy;
    courtesy.begin();
    courtesy.look(1'000'000);
    EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  }).join();
}

}  // namespace
}  // namespace p11shim
