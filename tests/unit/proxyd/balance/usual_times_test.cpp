#include "proxyd/balance/usual_times.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

const UsualTimes::Kind kSign{1, 2}, kVerify{3, 2};

TEST(UsualTimes, AreUnknownUntilThereWereEnoughCalls) {
  UsualTimes times;
  for (std::size_t i = 0; i + 1 < UsualTimes::kLeast; ++i) times.took(kSign, 10);
  EXPECT_FALSE(times.p95(kSign));
  times.took(kSign, 10);
  EXPECT_EQ(times.p95(kSign), 10u);
  EXPECT_FALSE(times.p95(kVerify));
}

TEST(UsualTimes, LeaveOutTheSlowestTwentieth) {
  UsualTimes times;
  for (int i = 0; i < 256; ++i) times.took(kSign, i % 25 == 0 ? 100'000 : 10);
  EXPECT_EQ(times.p95(kSign), 10u);
  for (int i = 0; i < 256; ++i) times.took(kSign, i % 10 == 0 ? 100'000 : 10);
  EXPECT_EQ(times.p95(kSign), 100'000u);
}

TEST(UsualTimes, FollowTheLastCalls) {
  UsualTimes times;
  for (int i = 0; i < 256; ++i) times.took(kSign, 10);
  for (int i = 0; i < 256; ++i) times.took(kSign, 20);
  EXPECT_EQ(times.p95(kSign), 20u);
}

TEST(UsualTimes, WatchAFewKindsOnly) {
  UsualTimes times;
  for (std::uint32_t kind = 0; kind < 2 * UsualTimes::kMostKinds; ++kind)
    for (std::size_t i = 0; i < UsualTimes::kLeast; ++i) times.took({kind, 0}, 10);
  EXPECT_TRUE(times.p95({0, 0}));
  EXPECT_FALSE(times.p95({2 * UsualTimes::kMostKinds - 1, 0}));
}

}  // namespace
}  // namespace p11shim
