#include "proxyd/workers/start_gate.h"

#include <gtest/gtest.h>

#include <vector>

namespace p11shim {
namespace {

struct Starter final : Waiter {
  Starter(StartGate& in, std::vector<int>& order, int number) : gate(in), started(order), own(number) {}
  void resume() override {
    if (gate.enter("module", *this)) started.push_back(own);
  }
  StartGate& gate;
  std::vector<int>& started;
  const int own;
};

TEST(StartGate, OneStartsAtATimeInOrder) {
  StartGate gate;
  std::vector<int> started;
  Starter one(gate, started, 1), two(gate, started, 2), three(gate, started, 3);
  for (Starter* starter : {&one, &two, &three}) starter->resume();
  EXPECT_EQ(started, std::vector<int>{1});
  gate.leave("module");
  EXPECT_EQ(started, (std::vector<int>{1, 2}));
  gate.leave("module");
  gate.leave("module");
  EXPECT_EQ(started, (std::vector<int>{1, 2, 3}));
  one.resume();
  EXPECT_EQ(started.size(), 4u);
}

TEST(StartGate, ModulesDoNotWaitForEachOther) {
  StartGate gate;
  std::vector<int> started;
  Starter first(gate, started, 1), second(gate, started, 2);
  EXPECT_TRUE(gate.enter("module", first));
  EXPECT_TRUE(gate.enter("another module", second));
}

TEST(StartGate, OneThatGivesUpIsPassedOver) {
  StartGate gate;
  std::vector<int> started;
  Starter one(gate, started, 1), three(gate, started, 3);
  one.resume();
  {
    Starter two(gate, started, 2);
    two.resume();
    three.resume();
  }
  gate.leave("module");
  EXPECT_EQ(started, (std::vector<int>{1, 3}));
}

}  // namespace
}  // namespace p11shim
