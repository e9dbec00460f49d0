#include "tools/shimctl/bench/load.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tools/shimctl/bench/load_record.h"
#include "tools/shimctl/bench/machine_work.h"

namespace p11shim {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// What each of them does, by number.
using Behaviour = std::function<CK_RV(std::size_t)>;

class FakeOperation : public Operation {
 public:
  explicit FakeOperation(Behaviour behaviour) : behaviour_(std::move(behaviour)) {}
  CK_RV run() override { return behaviour_(runs_++); }
  void recover() override { ++recovered; }
  std::string check() override { return ""; }

  int recovered = 0;

 private:
  Behaviour behaviour_;
  std::size_t runs_ = 0;
};

class Loaded {
 public:
  Loaded(const LoadPlan& plan, const Behaviour& behaviour) : plan_(plan) {
    std::vector<std::vector<std::unique_ptr<Operation>>> operations(plan.threads);
    for (auto& lanes : operations) lanes.push_back(std::make_unique<FakeOperation>(behaviour));
    result = run_load(
        plan, operations, [] { return false; }, [&](std::size_t slice) { ticks.push_back(slice); });
    recovered = dynamic_cast<FakeOperation&>(*operations[0][0]).recovered;
  }
  json record() const {
    json test;
    record_lane(test, result, 0, plan_);
    record_load(test, result);
    return test;
  }

  LoadResult result;
  std::vector<std::size_t> ticks;
  int recovered = 0;

 private:
  LoadPlan plan_;
};

const auto kNothing = milliseconds(0);

TEST(BenchLoad, WhatFailsTakesTimeAndIsNoThroughput) {
  const Loaded load({.iterations = 200, .slices = 10, .warmup = kNothing}, [](std::size_t i) {
    std::this_thread::sleep_for(milliseconds(1));
    return i < 20 ? CKR_OK : CKR_DEVICE_ERROR;
  });
  const json test = load.record();
  EXPECT_EQ(test["count"], 20);
  EXPECT_EQ(test["failed"], 180);
  EXPECT_LE(test["rate"]["per_second"], 100) << "20 in at least 200 ms";
  EXPECT_EQ(test["slices"].size(), 10u);
  EXPECT_EQ(test["slices"][9]["rate"], 0);
  EXPECT_TRUE(test["slices"][9]["median_ns"].is_null());
  EXPECT_EQ(load.recovered, 180);
  EXPECT_EQ(load.result.ran[0].count, 200u);
  EXPECT_GE(load.result.ran[0].ns, 200'000'000u);
}

TEST(BenchLoad, AStallIsSeenInEachSliceThatItCovers) {
  const Loaded load({.duration = milliseconds(400), .slices = 8, .warmup = kNothing}, [](std::size_t i) {
    std::this_thread::sleep_for(milliseconds(i == 0 ? 250 : 1));
    return CKR_OK;
  });
  const json test = load.record();
  ASSERT_EQ(test["slices"].size(), 8u);
  int empty = 0;
  int covered = 0;
  double seen = 0;
  for (const auto& slice : test["slices"]) {
    EXPECT_GE(slice["start_s"], seen);
    seen = slice["start_s"];
    if (slice["count"] != 0) continue;
    ++empty;
    EXPECT_EQ(slice["rate"], 0);
    covered += slice["busy_s"] > 0.04;
  }
  EXPECT_GE(empty, 3);
  EXPECT_GE(covered, 2) << "the stall's time is where it was";
  EXPECT_EQ(load.ticks, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(BenchLoad, AllThatWasDueAndNeverBeganIsCounted) {
  for (const unsigned threads : {1u, 3u}) {
    const Loaded load(
        {.threads = threads, .duration = milliseconds(500), .slices = 16, .rate = 500, .warmup = kNothing},
        [](std::size_t) {
          std::this_thread::sleep_for(milliseconds(60));
          return CKR_OK;
        });
    std::uint64_t begun = 0;
    for (const auto& thread : load.result.threads) begun += thread.count;
    EXPECT_LE(begun, 9 * threads);
    EXPECT_NEAR(static_cast<double>(begun + load.result.not_begun), 250, 1 + threads);
  }
  const Loaded fast({.duration = milliseconds(300), .slices = 16, .rate = 1e6, .poisson = true, .warmup = kNothing},
                    [](std::size_t) {
                      std::this_thread::sleep_for(milliseconds(5));
                      return CKR_OK;
                    });
  EXPECT_NEAR(static_cast<double>(fast.result.not_begun), 300'000, 3000);
}

TEST(BenchLoad, FewSlicesSupportNoInterval) {
  for (const std::size_t slices : {7u, 8u}) {
    const Loaded load({.iterations = 2000, .slices = slices, .warmup = kNothing}, [](std::size_t) { return CKR_OK; });
    const json test = load.record();
    EXPECT_EQ(test["rate"]["low"].is_null(), slices < 8);
    EXPECT_EQ(test["latency"]["percentiles"][0]["low_ns"].is_null(), slices < 8);
    EXPECT_FALSE(test["slices"][0]["p90_ns"].is_null()) << "some 250 samples";
    EXPECT_TRUE(test["slices"][0]["p99_ns"].is_null()) << "not a thousand";
  }
}

TEST(BenchLoad, AnotherProcesssResultIsReadBack) {
  const Loaded load({.iterations = 40, .slices = 2, .warmup = kNothing}, [](std::size_t) { return CKR_OK; });
  LoadResult again = LoadResult::from_json(load.result.to_json());
  again.merge(load.result);
  EXPECT_EQ(again.ran[0].count, 80u);
  EXPECT_EQ(again.ran[0].ns, 2 * load.result.ran[0].ns);
  EXPECT_EQ(again.slices[0].machine_ns.size(), 2 * load.result.slices[0].machine_ns.size());
}

TEST(BenchLoad, TheMachinesSpeedStandsBesideEachSliceAndInNoFigure) {
  const auto wait = [](std::size_t) {
    std::this_thread::sleep_for(milliseconds(1));
    return CKR_OK;
  };
  const Loaded closed({.threads = 2, .duration = milliseconds(300), .slices = 8, .warmup = kNothing}, wait);
  std::size_t times = 0;
  for (const auto& slice : closed.result.slices) times += slice.machine_ns.size();
  EXPECT_GE(times, 2u) << "each thread, at least when it begins";
  const json test = closed.record();
  for (const auto& slice : test["slices"]) EXPECT_GT(slice["machine_ns"], 0) << "that of its neighbours, if need be";
  double busy = 0;
  for (const auto& thread : closed.result.threads) busy += static_cast<double>(thread.busy_ns);
  EXPECT_GE(busy, static_cast<double>(closed.result.threads[0].sum_ns + closed.result.threads[1].sum_ns));

  const Loaded open({.duration = milliseconds(300), .slices = 8, .rate = 100, .warmup = kNothing}, wait);
  for (const auto& slice : open.result.slices) EXPECT_EQ(slice.machine_ns.size(), 1u);
  const auto& slices = open.result.slices;
  const bool rises = slices.front().machine_ns[0] <= slices.back().machine_ns[0];
  for (std::size_t i = 1; i < slices.size(); ++i)
    EXPECT_EQ(slices[i - 1].machine_ns[0] <= slices[i].machine_ns[0], rises) << "from that before to that after";
}

TEST(BenchLoad, AMixIsInTheTimeOfAllItsParts) {
  LoadPlan plan{.duration = milliseconds(200), .slices = 8, .warmup = kNothing};
  plan.weights = {1, 1};
  LoadResult load;
  load.errors.resize(2);
  load.wrong.resize(2);
  for (int i = 0; i < 8; ++i) {
    LoadSlice slice{.start_s = 0.025 * i, .seconds = 0.025, .lanes = std::vector<LaneRecord>(2)};
    slice.lanes[0].busy_ns = 8'000'000;
    slice.lanes[1].busy_ns = 12'000'000;
    for (int j = 0; j < 10; ++j) slice.lanes[0].service.record(800'000);
    load.slices.push_back(std::move(slice));
  }
  json test;
  record_lane(test, load, 0, plan);
  EXPECT_NEAR(test["rate"]["per_second"].get<double>(), 500, 1e-6) << "10 in 20 ms of operations, checks aside";
}

TEST(MachineWork, IsTheSameEachTime) {
  MachineWork one;
  MachineWork two;
  EXPECT_EQ(one.result(), two.result());
  EXPECT_GT(one.time(), 100) << "nanoseconds, on any machine";
  EXPECT_NE(one.result(), two.result());
  two.time();
  EXPECT_EQ(one.result(), two.result());
  one.time();
  EXPECT_NE(one.result(), two.result());
}

TEST(ProcessorWait, CountsFromTheLastTime) {
  ProcessorWait wait;
  EXPECT_EQ(wait.since_last(), 0u);
  std::uint64_t waited = 0;
  for (int i = 0; i < 10; ++i) waited += wait.since_last();
  EXPECT_LT(waited, 60'000'000'000u);
}

}  // namespace
}  // namespace p11shim
