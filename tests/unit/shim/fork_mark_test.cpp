#include "shim/fork_mark.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace p11shim {
namespace {

TEST(ForkMark, IsSettledByWhoClaimsIt) {
  ForkMark mark;
  EXPECT_FALSE(mark.is_settled());
  EXPECT_TRUE(mark.claim());
  EXPECT_FALSE(mark.claim());
  EXPECT_FALSE(mark.is_settled());
  mark.settle();
  EXPECT_TRUE(mark.is_settled());
  EXPECT_FALSE(mark.claim());
}

TEST(ForkMark, CanBeClaimedAgainAfterGivingUp) {
  ForkMark mark;
  EXPECT_TRUE(mark.claim());
  mark.give_up();
  EXPECT_TRUE(mark.claim());
}

TEST(ForkMark, IsClaimedByOneThread) {
  ForkMark mark;
  std::atomic<int> claims{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { claims += mark.claim(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(claims, 1);
}

int exit_status(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(ForkMark, AChildHasNotSettled) {
  ForkMark mark;
  ASSERT_TRUE(mark.claim());
  mark.settle();
  const pid_t child = fork();
  if (child == 0) {
    const bool was_settled = mark.is_settled();
    const bool claimed = mark.claim();
    mark.settle();
    _exit(!was_settled && claimed && mark.is_settled() ? 0 : 1);
  }
  EXPECT_EQ(exit_status(child), 0);
  EXPECT_TRUE(mark.is_settled());
}

TEST(ForkMark, AChildForkedWhileItWasClaimedCanClaimIt) {
  ForkMark mark;
  ASSERT_TRUE(mark.claim());
  const pid_t child = fork();
  if (child == 0) _exit(mark.claim() ? 0 : 1);
  EXPECT_EQ(exit_status(child), 0);
}

}  // namespace
}  // namespace p11shim
