// Looking before sleeping: while it succeeds always, in vain ever more seldom.
#include "wire/spin.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p11shim {
namespace {

using std::chrono::microseconds;

// Goes on by a microsecond whenever it is read: nobody else can take the processor.
struct TestClock {
  using duration = microseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<TestClock>;
  [[maybe_unused]] static constexpr bool is_steady = true;
  static inline time_point at{};
  static time_point now() { return at += microseconds(1); }
};
using TestedSpin = SpinBy<TestClock>;

TEST(Spin, NeverLooksIfItMayNot) {
  TestedSpin spin(microseconds(0));
  for (int i = 0; i < 10'000; ++i)
    EXPECT_FALSE(spin.look([]() -> bool {
      ADD_FAILURE() << "it looked";
      return true;
    }));
}

TEST(Spin, LooksEachTimeWhileThatSucceeds) {
  TestedSpin spin(microseconds(1));
  int looks = 0;
  const auto came = [&] { return ++looks > 0; };
  while (!spin.look(came)) ASSERT_LT(looks, 10);
  for (int i = 1; i < 100; ++i) EXPECT_TRUE(spin.look(came));
  EXPECT_EQ(looks, 100);
}

TEST(Spin, LooksEverMoreSeldomInVain) {
  TestedSpin spin(microseconds(1));
  int tries = 0;
  for (int i = 0; i < 100'000; ++i) {
    bool looked = false;
    EXPECT_FALSE(spin.look([&] {
      looked = true;
      return false;
    }));
    tries += looked ? 1 : 0;
  }
  EXPECT_GE(tries, 10) << "it may pay again";
  EXPECT_LT(tries, 60);
}

bool interrupted() {
  TestClock::at += microseconds(400);
  return true;
}

// How many waits pass until it looks again.
unsigned waits_without_a_look(TestedSpin& spin) {
  unsigned waits = 0;
  while (!spin.look([] { return true; }))
    if (++waits > 100'000) break;
  return waits;
}

TEST(Spin, AnInterruptionNowAndThenCostsNextToNothing) {
  TestedSpin spin(microseconds(1));
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i) spin.look([] { return true; });
    EXPECT_TRUE(spin.look(interrupted)) << "what has come is not lost";
    EXPECT_LT(waits_without_a_look(spin), 100U);
  }
}

TEST(Spin, StopsWhereOthersWantTheProcessor) {
  TestedSpin spin(microseconds(1));
  unsigned most = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 100; ++i) spin.look([] { return true; });
    spin.look(interrupted);
    most = std::max(most, waits_without_a_look(spin));
  }
  EXPECT_GT(most, 4000U);
}

TEST(Spin, ASingleMissAfterManyHitsChangesNothing) {
  TestedSpin spin(microseconds(1));
  for (int i = 0; i < 1000; ++i) spin.look([] { return true; });
  EXPECT_FALSE(spin.look([] { return false; }));
  EXPECT_TRUE(spin.look([] { return true; }));
}

}  // namespace
}  // namespace p11shim
