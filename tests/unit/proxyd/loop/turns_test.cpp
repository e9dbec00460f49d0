// Those who wait for a turn of the loop: each goes on once per turn, in order, also where whoever does changes who waits.
#include "proxyd/loop/turns.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace p11shim {
namespace {

struct Guest final : Turns::Taker {
  explicit Guest(std::function<void()> does) : action(std::move(does)) {}
  void on_turn() override { action(); }
  std::function<void()> action;
};

class TurnsTest : public testing::Test {
 protected:
  TurnsTest() {
    uv_loop_init(&loop);
    turns = std::make_unique<Turns>(loop);
  }
  ~TurnsTest() override {
    turns.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }
  uv_loop_t loop{};
  std::unique_ptr<Turns> turns;
  std::string order;
};

TEST_F(TurnsTest, EachGoesOnOncePerTurn) {
  int left = 3;
  Guest a([&] {
    order += 'a';
    if (--left != 0) turns->add(a);
  });
  Guest b([&] {
    order += 'b';
    if (left != 0) turns->add(b);
  });
  turns->add(a);
  turns->add(b);
  turns->add(b);
  uv_run(&loop, UV_RUN_NOWAIT);
  EXPECT_EQ(order, "ab");
  EXPECT_TRUE(a.waits_for_turn());
  uv_run(&loop, UV_RUN_DEFAULT);  // ends: nobody waits any more
  EXPECT_EQ(order, "ababab");
  EXPECT_FALSE(b.waits_for_turn());
}

TEST_F(TurnsTest, NoMoreThanSoManyGoOnInOne) {
  Turns one_each(loop, 1);
  int left = 6;
  const auto again = [&](Guest& guest, char name) {
    order += name;
    if (--left > 0) one_each.add(guest);
  };
  Guest a([&] { again(a, 'a'); }), b([&] { again(b, 'b'); });
  one_each.add(a);
  one_each.add(b);
  uv_run(&loop, UV_RUN_NOWAIT);
  EXPECT_EQ(order, "a");
  uv_run(&loop, UV_RUN_NOWAIT);
  EXPECT_EQ(order, "ab");
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(order.substr(0, 6), "ababab");
}

TEST_F(TurnsTest, WhoGoesAwayIsNotServed) {
  std::unique_ptr<Guest> last;
  Guest first([&] {
    order += '1';
    turns->remove(*last);
    last.reset();
  });
  last = std::make_unique<Guest>([&] { order += 'x'; });
  Guest other([&] { order += '2'; });
  turns->add(first);
  turns->add(*last);
  turns->add(other);
  turns->remove(other);
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(order, "1");
  EXPECT_FALSE(other.waits_for_turn());
}

}  // namespace
}  // namespace p11shim
