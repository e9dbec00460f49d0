#include "proxyd/balance/breaker.h"

#include <gtest/gtest.h>

#include "proxyd/balance/health.h"

namespace p11shim {
namespace {

BreakerConfig settings() {
  BreakerConfig config;
  config.failures = 3;
  config.open_min = std::chrono::milliseconds(1000);
  config.open_max = std::chrono::milliseconds(4000);
  return config;
}

struct BreakerTest : ::testing::Test {
  std::mt19937_64 random{1};
  Breaker breaker{settings(), random};
  void fail(std::uint64_t now, int times = 1) {
    for (int i = 0; i < times; ++i) breaker.failed(now, "fault", breaker.begin());
  }
};

TEST_F(BreakerTest, FailuresInARowEject) {
  fail(0, 2);
  breaker.succeeded(0, 1, false);
  fail(0, 2);
  EXPECT_TRUE(breaker.admits(0));
  fail(0);
  EXPECT_FALSE(breaker.admits(0));
  EXPECT_EQ(breaker.state(), Breaker::State::open);
  EXPECT_EQ(breaker.reason(), "3 failures in a row, the last: fault");
}

TEST_F(BreakerTest, ARateOfFailuresEjects) {
  BreakerConfig config = settings();
  config.failures = 1000;
  config.least_calls = 20;
  Breaker rated(config, random);
  for (int i = 0; i < 19; ++i) i % 2 == 0 ? rated.failed(i, "fault", false) : rated.succeeded(i, 1, false);
  EXPECT_TRUE(rated.admits(20));
  rated.failed(20, "fault", false);
  EXPECT_FALSE(rated.admits(20));
}

TEST_F(BreakerTest, OldFailuresAreForgotten) {
  BreakerConfig config = settings();
  config.failures = 1000;
  Breaker rated(config, random);
  for (int i = 0; i < 19; ++i) rated.failed(0, "fault", false);
  rated.failed(20'000, "fault", false);
  EXPECT_TRUE(rated.admits(20'000));
}

TEST_F(BreakerTest, OneTrialAtATimeThenItCloses) {
  fail(0, 3);
  EXPECT_FALSE(breaker.admits(700));
  ASSERT_TRUE(breaker.admits(1000));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(breaker.begin());
    EXPECT_FALSE(breaker.admits(1000));
    breaker.succeeded(1000, 1, true);
    EXPECT_TRUE(breaker.admits(1000));
  }
  EXPECT_EQ(breaker.state(), Breaker::State::closed);
}

TEST_F(BreakerTest, TheTimeDoublesWhileTrialsFail) {
  fail(0, 3);
  std::uint64_t now = 0;
  for (const std::uint64_t pause : {1000, 2000, 4000, 4000}) {
    EXPECT_FALSE(breaker.admits(now + pause / 2));
    now += pause;
    ASSERT_TRUE(breaker.admits(now));
    fail(now);
    EXPECT_EQ(breaker.state(), Breaker::State::open);
  }
}

TEST_F(BreakerTest, ATrialThatSaysNothingMakesRoomForAnother) {
  fail(0, 3);
  ASSERT_TRUE(breaker.admits(1000));
  breaker.said_nothing(breaker.begin());
  EXPECT_TRUE(breaker.admits(1000));
}

TEST_F(BreakerTest, StaysOpenWhileItsProbeFails) {
  breaker.trip(0, "probe");
  breaker.hold_open();
  EXPECT_FALSE(breaker.admits(100'000));
  breaker.probed_well(100'000);
  EXPECT_EQ(breaker.state(), Breaker::State::open);
  EXPECT_TRUE(breaker.admits(100'000));
}

TEST_F(BreakerTest, ProbesAreTrialsWhereNobodyCalls) {
  fail(0, 3);
  breaker.probed_well(500);  // its pause is not over
  ASSERT_TRUE(breaker.admits(1000));
  breaker.probed_well(1000);
  breaker.probed_well(1000);
  EXPECT_EQ(breaker.state(), Breaker::State::half_open);
  breaker.probed_well(1000);
  EXPECT_EQ(breaker.state(), Breaker::State::closed);
}

TEST_F(BreakerTest, AProbeSaysNothingWhileACallIsTheTrial) {
  fail(0, 3);
  ASSERT_TRUE(breaker.admits(1000));
  ASSERT_TRUE(breaker.begin());
  for (int i = 0; i < 5; ++i) breaker.probed_well(1000);
  EXPECT_EQ(breaker.state(), Breaker::State::half_open);
  breaker.failed(1000, "it failed", true);
  EXPECT_EQ(breaker.state(), Breaker::State::open);
}

TEST_F(BreakerTest, SlowCallsCountWhenConfigured) {
  BreakerConfig config = settings();
  config.slow_call = std::chrono::milliseconds(50);
  Breaker slow(config, random);
  for (int i = 0; i < 3; ++i) slow.succeeded(0, 51, false);
  EXPECT_FALSE(slow.admits(0));
}

TEST(Health, ASlowMemberThatIsIdleCostsMoreThanAFastOneThatIsBusy) {
  std::mt19937_64 random{1};
  Health busy({}, random), slow({}, random);
  // One at a time, 5 ms each: with six of them under way each took six times as long.
  for (int i = 0; i < 100; ++i) busy.took(0, 30, 6);
  busy.outstanding = 5;
  slow.took(0, 50, 1);
  EXPECT_LT(busy.cost(0), slow.cost(0));
}

TEST(Health, FollowsASlowCallAtOnceAndForgetsItSlowly) {
  std::mt19937_64 random{1};
  Health health({}, random);
  health.took(0, 1);
  const double before = health.cost(0);
  health.took(0, 100);
  EXPECT_GT(health.cost(0), 50 * before);
  for (int i = 0; i < 10; ++i) health.took(0, 1);
  EXPECT_GT(health.cost(0), 50);
  EXPECT_LT(health.cost(60'000), 1);
  health.outstanding = 3;
  EXPECT_GT(health.cost(0), 200);
}

}  // namespace
}  // namespace p11shim
