#include "proxyd/loop/waiting.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

namespace p11shim {
namespace {

struct Guest final : Waiter {
  explicit Guest(std::function<void()> does) : action(std::move(does)) {}
  void resume() override { action(); }
  std::function<void()> action;
};

TEST(WaitList, FirstInIsFirstResumed) {
  WaitList list;
  std::vector<int> order;
  Guest one([&] { order.push_back(1); }), two([&] { order.push_back(2); }), three([&] { order.push_back(3); });
  for (Guest* guest : {&one, &two, &three}) list.add(*guest);
  list.resume_one();
  EXPECT_EQ(order, std::vector<int>{1});
  EXPECT_FALSE(one.waits());
  list.resume_all();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(list.empty());
  list.resume_one();
}

TEST(WaitList, TheLowerTurnIsResumedFirst) {
  WaitList list;
  std::vector<int> order;
  Guest one([&] { order.push_back(1); }), two([&] { order.push_back(2); }), three([&] { order.push_back(3); }),
      four([&] { order.push_back(4); });
  list.add(one, 20);
  list.add(two, 30);
  list.add(three, 10);
  list.add(four, 20);
  EXPECT_EQ(list.first_turn(), 10u);
  while (!list.empty()) list.resume_one();
  EXPECT_EQ(order, (std::vector<int>{3, 1, 4, 2}));
}

TEST(WaitList, WaiterThatGoesAwayLeavesIt) {
  WaitList list;
  int resumed = 0;
  Guest stays([&] { ++resumed; });
  {
    Guest goes([&] { ++resumed; });
    list.add(goes);
    list.add(stays);
  }
  list.resume_all();
  EXPECT_EQ(resumed, 1);
}

TEST(WaitList, WaiterIsInOneListAtATime) {
  WaitList first, second;
  Guest guest([] {});
  first.add(guest);
  second.add(guest);
  EXPECT_TRUE(first.empty());
  EXPECT_FALSE(second.empty());
}

TEST(WaitList, WhoWaitsAgainIsResumedOnceOnly) {
  WaitList list;
  int resumed = 0;
  Guest stubborn([&] {
    ++resumed;
    list.add(stubborn);
  });
  list.add(stubborn);
  list.resume_all();
  EXPECT_EQ(resumed, 1);
  list.resume_one();
  EXPECT_EQ(resumed, 2);
  EXPECT_TRUE(stubborn.waits());
}

// Each lets the next one in: with a frame of the stack for each this would overflow it.
TEST(WaitList, LongQueueTakesNoStack) {
  WaitList list;
  std::size_t resumed = 0;
  const auto lets_the_next_in = [&] {
    ++resumed;
    list.resume_one();
  };
  std::vector<std::unique_ptr<Guest>> guests;
  for (int i = 0; i < 300'000; ++i) list.add(*guests.emplace_back(std::make_unique<Guest>(lets_the_next_in)));
  list.resume_one();
  EXPECT_EQ(resumed, guests.size());
}

TEST(WaitList, MayGoWhileItResumes) {
  auto list = std::make_unique<WaitList>();
  int resumed = 0;
  Guest destroyer([&] {
    ++resumed;
    list->resume_one();  // owed, and never paid
    list.reset();
  });
  Guest other([&] { ++resumed; });
  list->add(destroyer);
  list->add(other);
  list->resume_one();
  EXPECT_EQ(resumed, 1);
  EXPECT_FALSE(other.waits());
}

TEST(WaitList, WhatIsOwedEndsWithTheQueue) {
  WaitList list;
  int resumed = 0;
  Guest greedy([&] {
    ++resumed;
    for (int i = 0; i < 5; ++i) list.resume_one();
  });
  list.add(greedy);
  list.resume_one();
  Guest later([&] { ++resumed; });
  list.add(later);
  EXPECT_EQ(resumed, 1);
  EXPECT_TRUE(later.waits());
}

}  // namespace
}  // namespace p11shim
