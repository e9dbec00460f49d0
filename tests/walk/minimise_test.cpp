#include "minimise.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p11shim::walk {
namespace {

constexpr auto kLong = std::chrono::seconds(600);

std::vector<std::uint64_t> up_to(std::uint64_t last) {
  std::vector<std::uint64_t> steps;
  for (std::uint64_t step = 1; step <= last; ++step) steps.push_back(step);
  return steps;
}

TEST(Minimise, LeavesOnlyWhatIsNeeded) {
  const auto needs = [](const std::vector<std::uint64_t>& steps) {
    return std::ranges::count(steps, 17) && std::ranges::count(steps, 60) && std::ranges::count(steps, 99);
  };
  EXPECT_EQ(minimise(up_to(100), needs, kLong), (std::vector<std::uint64_t>{17, 60, 99}));
}

TEST(Minimise, KeepsASingleStep) {
  EXPECT_EQ(minimise(
                {5}, [](const auto&) { return true; }, kLong),
            std::vector<std::uint64_t>{5});
}

TEST(Minimise, GivesUpWhenPatienceIsOver) {
  EXPECT_EQ(minimise(
                up_to(50), [](const auto&) { return true; }, std::chrono::seconds(-1))
                .size(),
            50u);
}

TEST(Choice, IsTheSameForTheSameStepAndDiffersForOthers) {
  EXPECT_EQ(Choice(7, 3).next(), Choice(7, 3).next());
  EXPECT_NE(Choice(7, 3).next(), Choice(7, 4).next());
  EXPECT_NE(Choice(7, 3).next(), Choice(8, 3).next());
}

}  // namespace
}  // namespace p11shim::walk
