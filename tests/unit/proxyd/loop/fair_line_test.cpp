#include "proxyd/loop/fair_line.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <string>

namespace p11shim {
namespace {

struct Call final : FairLine::Item {
  explicit Call(char whose) : application(whose) {}
  const char application;
};

class FairLineTest : public testing::Test {
 protected:
  const void* name(char application) const { return application == '-' ? nullptr : &names_[application - 'A']; }
  void add(const std::string& calls) {
    for (const char application : calls) {
      calls_.push_back(std::make_unique<Call>(application));
      line.add(*calls_.back(), name(application));
    }
  }
  char take() { return static_cast<Call&>(line.take()).application; }
  std::string take(int count) {
    std::string taken;
    for (; count > 0; --count) taken += take();
    return taken;
  }
  // One call after the other, each taking so long; whoever has made one makes the next. How often each came.
  std::array<int, 3> serve(int count, std::array<std::uint64_t, 3> us) {
    std::array<int, 3> served{};
    for (; count > 0; --count) {
      const char application = take();
      const auto number = static_cast<std::size_t>(application - 'A');
      add({application});
      line.took(name(application), us[number]);
      ++served[number];
    }
    return served;
  }

  std::array<char, 26> names_{};
  std::deque<std::unique_ptr<Call>> calls_;
  FairLine line;
};

TEST_F(FairLineTest, TheCallsOfOneComeInTheirOrder) {
  add("AAA");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(&line.take(), calls_[static_cast<std::size_t>(i)].get());
  EXPECT_TRUE(line.empty());
}

TEST_F(FairLineTest, OneCallDoesNotWaitForAllOfAnother) {
  add(std::string(64, 'A'));
  add("B");
  EXPECT_NE(take(3).find('B'), std::string::npos);
}

TEST_F(FairLineTest, ApplicationsTakeTurnsHoweverManyOfTheirCallsWait) {
  add("AAAAAAAABBBC");
  EXPECT_EQ(take(9), "ABCABABAA");
}

TEST_F(FairLineTest, WhoComesBackAtOnceDoesNotComeTwiceInARound) {
  add("AB");
  for (int i = 0; i < 8; ++i) {
    const std::string round = take(1);
    add(round);
    const std::string other = take(1);
    EXPECT_NE(round, other);
    add(other);
  }
}

TEST_F(FairLineTest, EachGetsTheSameTimeAndNotTheSameNumberOfCalls) {
  add(std::string(64, 'A') + std::string(64, 'B'));
  serve(200, {100, 500, 0});  // until it is known what they cost
  const auto served = serve(6000, {100, 500, 0});
  EXPECT_NEAR(served[0], 5 * served[1], served[1]);
}

TEST_F(FairLineTest, CallsLongerThanATurnArePaidForInLaterRounds) {
  add(std::string(8, 'A') + std::string(8, 'B') + std::string(8, 'C'));
  serve(300, {50'000, 10'000, 10'000});
  const auto served = serve(1100, {50'000, 10'000, 10'000});
  EXPECT_NEAR(served[0], 100, 10);
  EXPECT_NEAR(served[1], 500, 20);
}

// It is alone in the line whenever it is there: one thread, whose call is under way while the others wait.
TEST_F(FairLineTest, WhoHasOneThreadPaysForLongCallsToo) {
  add("AAAAAAAAB");
  int ticks = 0;
  int of_b = 0;
  for (int i = 0; i < 2000; ++i) {
    const char application = take();
    if (application == 'B') ++of_b, line.took(name('B'), 20'000), ticks += 20'000;
    else add("A"), line.took(name('A'), 100), ticks += 100;
    if (application == 'B') add("B");
  }
  EXPECT_NEAR(of_b * 20'000, ticks / 2, ticks / 10);
}

TEST_F(FairLineTest, OwnCallsHaveOneTurnInWhichAllOfThemGo) {
  add("AAAA----B");
  EXPECT_EQ(take(9), "A----BAAA");
}

TEST_F(FairLineTest, OwnCallsThatCauseOthersDoNotHoldUpApplications) {
  add("-A");
  std::string taken;
  for (int i = 0; i < 4; ++i) {
    taken += take();
    if (taken.back() == '-') add("-");
  }
  EXPECT_NE(taken.find('A'), std::string::npos);
}

TEST_F(FairLineTest, WhoLeavesOrDiesIsNotServed) {
  add("AABBA");
  calls_[0]->leave_line();
  calls_[0]->leave_line();
  EXPECT_FALSE(calls_[0]->in_line());
  calls_[2].reset();
  EXPECT_EQ(line.size(), 3u);
  EXPECT_EQ(&line.take(), calls_[1].get());
  EXPECT_EQ(&line.take(), calls_[3].get());
  calls_[4].reset();
  EXPECT_TRUE(line.empty());
  add("B");
  EXPECT_EQ(take(), 'B');
}

TEST_F(FairLineTest, TheLineMayGoBeforeThoseInIt) {
  Call call('A');
  {
    FairLine other;
    other.add(call, &call);
    EXPECT_TRUE(call.in_line());
  }
  EXPECT_FALSE(call.in_line());
}

TEST_F(FairLineTest, ThousandsThatComeOnceWaitNoLongerThanTheFirst) {
  add(std::string(16, 'A'));
  std::array<char, 5000> names{};
  for (const char& each : names) {
    Call call('B');
    line.add(call, &each);
    int waited = 0;
    for (; &line.take() != &call; ++waited) add("A");
    EXPECT_LE(waited, 2);
  }
}

}  // namespace
}  // namespace p11shim
