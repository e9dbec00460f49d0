#include "tools/shimctl/bench/time_split.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace p11shim {
namespace {

using nlohmann::json;

json row(const char* member, const char* function, int calls, int total, int queue, int hsm) {
  return {{"member", member},  {"function", function}, {"calls", calls}, {"failed", 0},
          {"total_ns", total}, {"queue_ns", queue},    {"hsm_ns", hsm}};
}

TEST(TimeSplit, WhatProxydDidNotSeeWasTheShimsAndTheWays) {
  const json where =
      json::array({row("p/a", "C_Sign", 60, 100'000, 2000, 80'000), row("p/b", "C_Sign", 40, 200'000, 4000, 180'000),
                   row("p/a", "C_DestroyObject", 7, 1000, 0, 500)});
  const json split = time_split(where, BenchAction::kSign, {.count = 100, .ns = 100 * 190'000}, 0);
  EXPECT_EQ(split["operations"], 100);
  EXPECT_DOUBLE_EQ(split["total_ns"].get<double>(), 190'000);
  EXPECT_DOUBLE_EQ(split["shim_ns"].get<double>(), 50'000);
  EXPECT_DOUBLE_EQ(split["hsm_ns"].get<double>(), 120'000);
  EXPECT_DOUBLE_EQ(split["queue_ns"].get<double>(), 2800);
  EXPECT_DOUBLE_EQ(split["proxyd_ns"].get<double>(), 17'200);
}

TEST(TimeSplit, SeveralCallsOfAnOperationAreAddedUp) {
  const json where =
      json::array({row("p/a", "C_FindObjectsInit", 10, 1000, 0, 0), row("p/a", "C_FindObjectsFinal", 10, 2000, 0, 0)});
  EXPECT_DOUBLE_EQ(time_split(where, BenchAction::kFind, {.count = 10, .ns = 50'000}, 0)["shim_ns"].get<double>(),
                   2000);
}

TEST(TimeSplit, OtherCountsAreOtherOperations) {
  const json where = json::array({row("p/a", "C_Verify", 103, 100'000, 2000, 80'000)});
  const RunTotals ran{.count = 100, .ns = 100 * 190'000};
  EXPECT_FALSE(time_split(where, BenchAction::kVerify, ran, 3).is_null()) << "three were checks";
  EXPECT_TRUE(time_split(where, BenchAction::kVerify, ran, 2).is_null()) << "somebody else verified, too";
  EXPECT_TRUE(time_split(where, BenchAction::kVerify, {.count = 104, .ns = 1'000'000'000}, 9).is_null());
  EXPECT_TRUE(time_split(where, BenchAction::kSign, ran, 3).is_null());
  EXPECT_TRUE(time_split(nullptr, BenchAction::kSign, ran, 3).is_null());
}

}  // namespace
}  // namespace p11shim
