// Long work in slices: others are served between them.
#include "proxyd/loop/slices.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace p11shim {
namespace {

class SlicesTest : public testing::Test {
 protected:
  SlicesTest() {
    uv_loop_init(&loop);
    turns.emplace(loop, 1);
  }
  ~SlicesTest() override {
    turns.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }
  Slices::Slice work(char name, int slices) {
    return [this, name, left = slices]() mutable {
      order += name;
      return --left > 0;
    };
  }
  void turn() { uv_run(&loop, UV_RUN_NOWAIT); }

  uv_loop_t loop{};
  std::optional<Turns> turns;
  std::string order;
};

TEST_F(SlicesTest, OneIsDoneInEachTurnOfWhateverIsUnderWay) {
  Slices first(*turns), second(*turns);
  first.begin(work('a', 3));
  second.begin(work('b', 2));
  EXPECT_EQ(order, "");
  for (const char* so_far : {"a", "ab", "aba", "abab", "ababa", "ababa"}) {
    turn();
    EXPECT_EQ(order, so_far);
  }
}

TEST_F(SlicesTest, WhatIsCancelledIsNotGoneOnWith) {
  Slices slices(*turns);
  slices.begin(work('a', 3));
  turn();
  slices.cancel();
  turn();
  EXPECT_EQ(order, "a");
  slices.begin(work('b', 1));
  turn();
  turn();
  EXPECT_EQ(order, "ab");
}

TEST_F(SlicesTest, WhatIsDestroyedIsNotGoneOnWith) {
  auto slices = std::make_unique<Slices>(*turns);
  slices->begin(work('a', 3));
  turn();
  slices.reset();
  turn();
  EXPECT_EQ(order, "a");
}

TEST_F(SlicesTest, TheLastMayBeginOtherWorkOrDestroyIt) {
  auto slices = std::make_unique<Slices>(*turns);
  slices->begin([&] {
    slices->begin([&] { return slices.reset(), order += 'b', false; });
    return order += 'a', false;
  });
  for (int i = 0; i < 3; ++i) turn();
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace p11shim
