#include "proxyd/balance/history.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(History, KeepsBothStatesApart) {
  History history("starting", "ready");
  EXPECT_TRUE(history.note(false, "up", ""));
  EXPECT_TRUE(history.note(true, "drain", "new firmware"));
  EXPECT_TRUE(history.note(false, "ejected", "5 failures"));
  EXPECT_EQ(history.operational().state, "ejected");
  EXPECT_EQ(history.administrative().state, "drain");
  EXPECT_EQ(history.administrative().reason, "new firmware");
  ASSERT_EQ(history.transitions().size(), 3u);
  EXPECT_TRUE(history.transitions()[1].by_operator);
  EXPECT_EQ(history.transitions()[2].from, "up");
  EXPECT_EQ(history.transitions()[2].reason, "5 failures");
}

TEST(History, ANewReasonIsNoTransition) {
  History history("up", "ready");
  EXPECT_TRUE(history.note(false, "down", "one"));
  EXPECT_FALSE(history.note(false, "down", "two"));
  EXPECT_EQ(history.operational().reason, "two");
  EXPECT_EQ(history.transitions().size(), 1u);
}

TEST(History, ForgetsTheOldest) {
  History history("a", "ready");
  for (int i = 0; i < 100; ++i) history.note(false, std::to_string(i), "");
  EXPECT_EQ(history.transitions().size(), History::kKept);
  EXPECT_EQ(history.transitions().back().to, "99");
}

}  // namespace
}  // namespace p11shim
