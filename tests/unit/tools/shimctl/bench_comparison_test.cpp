#include "tools/shimctl/bench/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "tools/shimctl/bench/load_record.h"
#include "tools/shimctl/bench/machine_change.h"
#include "tools/shimctl/bench/report_shape.h"

namespace p11shim {
namespace {

using nlohmann::json;

constexpr std::size_t kSlices = 48;
constexpr int kOperations = 60;  // of a slice

// Simulated operations of about a millisecond. One slice in twenty is disturbed, as on a real machine.
struct Simulated {
  double slower = 1;   // all of them
  double far_out = 0;  // which part is `times` as long
  double times = 1;
  std::size_t stalled = 0;  // slices in which nothing happens
  std::uint64_t failed = 0;
  double machine = 0;    // what its fixed piece of work takes, to 40 µs; 0: nobody looked
  double wandering = 0;  // and by how much it changes from slice to slice
  bool follows = true;   // operations take as much longer
  double waits = 0;      // for a processor that others have, to the time of the operations
};

json measured(const Simulated& how, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> draw(std::log(1e6), 0.05);
  std::uniform_real_distribution<double> chance;
  LoadPlan plan{.duration = std::chrono::seconds(4), .slices = kSlices};
  LoadResult load;
  load.errors.resize(1);
  load.wrong.resize(1);
  std::normal_distribution<double> step;
  double wandered = 0;
  if (how.failed > 0) load.errors[0][CKR_DEVICE_ERROR] = how.failed;
  for (std::size_t i = 0; i < kSlices; ++i) {
    LoadSlice slice{.start_s = 0.08 * static_cast<double>(i), .seconds = 0.08, .lanes = std::vector<LaneRecord>(1)};
    double disturbed = chance(random) < 0.05 ? 1.3 : 1;
    if (how.machine > 0) {
      wandered = 0.9 * wandered + how.wandering * step(random);
      const double speed = how.machine * std::exp(wandered);
      if (how.follows) disturbed *= speed;
      slice.machine_ns = {40e3 * speed * std::exp(0.02 * step(random))};
    }
    if (i < how.stalled) slice.lanes[0].busy_ns = 80'000'000;
    for (int j = 0; j < (i < how.stalled ? 0 : kOperations); ++j) {
      const double time = draw(random) * how.slower * disturbed * (chance(random) < how.far_out ? how.times : 1);
      slice.lanes[0].service.record(static_cast<std::uint64_t>(time));
      slice.lanes[0].busy_ns += static_cast<std::uint64_t>(time);
    }
    slice.lanes[0].waited_ns = static_cast<std::uint64_t>(how.waits * static_cast<double>(slice.lanes[0].busy_ns));
    slice.lanes[0].busy_ns += slice.lanes[0].waited_ns;
    load.slices.push_back(std::move(slice));
  }
  json test{{"name", "p256-sign"}, {"group", "sign"},     {"data_size", nullptr},  {"side", nullptr},
            {"key", nullptr},      {"reason", nullptr},   {"comparison", nullptr}, {"threads", 1},
            {"connections", 1},    {"open_loop", nullptr}};
  record_lane(test, load, 0, plan);
  return test;
}

json report(json tests) {
  return {{"schema", "p11shim.bench.run/1"},
          {"data",
           {{"kind", "run"},
            {"complete", true},
            {"interrupted_by", nullptr},
            {"settings", {{"threads", 1}}},
            {"environment", {{"cpu", "x"}, {"modules", json::array()}, {"machine", machine_of(tests)}}},
            {"fits", json::array()},
            {"tests", std::move(tests)}}}};
}

json compared(const json& a, const json& b) {
  return compare_reports(report(json::array({a})), report(json::array({b})), 0.01, 0.1)["tests"][0];
}

// Runs of the same thing.
const std::vector<json>& same_runs() {
  static const std::vector<json> all = [] {
    std::vector<json> runs;
    for (unsigned seed = 0; seed < 40; ++seed) runs.push_back(measured({}, seed));
    return runs;
  }();
  return all;
}

// How many of twenty pairs.
int found(const Simulated& before, const Simulated& now, const std::string& verdict) {
  int count = 0;
  for (unsigned i = 0; i < 20; ++i)
    count += compared(measured(before, 4000 + i), measured(now, 5000 + i))["verdict"] == verdict;
  return count;
}

int found(const Simulated& how, const std::string& verdict) {
  int count = 0;
  for (unsigned i = 0; i < 20; ++i) count += compared(same_runs()[i], measured(how, 2000 + i))["verdict"] == verdict;
  return count;
}

TEST(BenchComparison, ChanceIsSeldomCalledAChange) {
  const auto& runs = same_runs();
  int same = 0;
  std::string others;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (std::size_t j = 1; j <= 5; ++j) {
      const json row = compared(runs[i], runs[(i + j) % runs.size()]);
      const bool is_same = row["verdict"] == "~" && row["regressed"] == false;
      same += is_same;
      if (!is_same) others += row.dump() + '\n';
    }
  }
  EXPECT_GE(same, 197) << "of 200 at 1 %, with all figures together\n" << others;
}

TEST(BenchComparison, WhatIsSlowerIsFound) {
  EXPECT_GE(found({.slower = 1.1}, "slower"), 20);
  EXPECT_GE(found({.slower = 0.9}, "faster"), 20);
}

TEST(BenchComparison, TheRateAndTheTailAreJudgedBehindTheMedian) {
  const Simulated slow_tenth{.far_out = 0.1, .times = 20};
  EXPECT_GE(found(slow_tenth, "slower"), 20) << "a third of the rate, and the same median";
  const json row = compared(measured({}, 1), measured(slow_tenth, 2));
  EXPECT_NEAR(row["ratio"].get<double>(), 1, 0.05);
  EXPECT_EQ(row["regressed"], true);
  EXPECT_NE(row["reason"].get<std::string>().find("rate -"), std::string::npos) << row;

  const Simulated long_tail{.far_out = 0.02, .times = 3};
  EXPECT_GE(found(long_tail, "slower"), 20) << "the 99th percentile alone";
  const json tail = compared(measured({}, 1), measured(long_tail, 2));
  EXPECT_NE(tail["reason"].get<std::string>().find("p99 +"), std::string::npos) << tail;
  EXPECT_EQ(tail["regressed"], true);
}

TEST(BenchComparison, ATokenThatStandsStillHalfTheTimeIsNotTheSame) {
  const json row = compared(measured({}, 1), measured({.stalled = kSlices / 2}, 2));
  EXPECT_NE(row["verdict"], "~") << row;
}

TEST(BenchComparison, FiguresThatDoNotFitTheSlicesAreJudged) {
  const json a = measured({}, 1);
  json b = a;
  b["rate"]["per_second"] = a["rate"]["per_second"].get<double>() / 10;
  EXPECT_EQ(compared(a, b)["verdict"], "slower");
  EXPECT_EQ(compared(a, b)["regressed"], true);
  b = a;
  for (auto& entry : b["latency"]["percentiles"]) {
    if (entry["percent"] != 99) continue;
    for (const char* key : {"ns", "low_ns", "high_ns"}) entry[key] = 100 * entry[key].get<double>();
  }
  EXPECT_EQ(compared(a, b)["verdict"], "slower") << compared(a, b);
}

TEST(BenchComparison, WhatTheMachineExplainsIsNoChange) {
  EXPECT_GE(found({.machine = 1}, {.machine = 1.3}, "~"), 20);
  EXPECT_GE(found({.machine = 1.3}, {.machine = 1}, "~"), 20);
  const json row = compared(measured({.machine = 1}, 1), measured({.machine = 1.3}, 2));
  EXPECT_NEAR(row["ratio"].get<double>(), 1.3, 0.05) << "what was measured is still shown";
  EXPECT_NEAR(row["machine"]["ratio"].get<double>(), 1.3, 0.05);
  EXPECT_NEAR(row["without_machine"]["ratio"].get<double>(), 1, 0.05);
  EXPECT_EQ(row["regressed"], false);
  EXPECT_NE(row["reason"].get<std::string>().find("the machine itself +"), std::string::npos) << row;
}

TEST(BenchComparison, WhatIsBeyondTheMachineIsFound) {
  EXPECT_GE(found({.machine = 1}, {.slower = 1.1, .machine = 1}, "slower"), 20) << "a quiet machine";
  EXPECT_GE(found({.machine = 1}, {.slower = 0.9, .machine = 1}, "faster"), 20);
  EXPECT_GE(found({.machine = 1}, {.slower = 1.6 / 1.3, .machine = 1.3}, "slower"), 20);
  const Simulated both{.slower = 1.6 / 1.3, .machine = 1.3};
  EXPECT_EQ(compared(measured({.machine = 1}, 1), measured(both, 2))["regressed"], true);
  const Simulated slow_tenth{.far_out = 0.1, .times = 20, .machine = 1.3};
  EXPECT_GE(found({.machine = 1}, slow_tenth, "slower"), 20) << "the rate, and the same median";
  const Simulated small{.slower = 1.07, .machine = 1.3};
  EXPECT_EQ(compared(measured({.machine = 1}, 1), measured(small, 2))["regressed"], false)
      << "39 % together, but the tolerance is 10 % beyond the machine";
}

TEST(BenchComparison, AMachineThatWandersIsTakenOut) {
  const Simulated wandering{.machine = 1, .wandering = 0.1};
  EXPECT_GE(found(wandering, wandering, "~"), 19);
  Simulated blind = wandering;
  int same = 0;
  for (unsigned i = 0; i < 20; ++i) {
    json a = measured(blind, 4000 + i);
    json b = measured(blind, 5000 + i);
    for (auto* each : {&a, &b}) {
      for (auto& slice : (*each)["slices"]) slice["machine_ns"] = nullptr;
    }
    same += compared(a, b)["verdict"] == "~";
  }
  EXPECT_LE(same, 10) << "which nobody can tell from what is measured alone";
  const Simulated slower{.slower = 1.3, .machine = 1, .wandering = 0.1};
  EXPECT_EQ(found(wandering, slower, "~"), 0);
  EXPECT_EQ(found(wandering, slower, "faster"), 0);
}

TEST(BenchComparison, AProcessorThatOthersHadIsNoChange) {
  const Simulated waiting{.machine = 1, .waits = 0.5};
  EXPECT_GE(found({.machine = 1}, waiting, "~"), 20);
  EXPECT_GE(found(waiting, {.machine = 1}, "~"), 20);
  json a = measured({.machine = 1}, 1);
  json b = measured(waiting, 2);
  EXPECT_LT(b["rate"]["per_second"], 0.75 * a["rate"]["per_second"].get<double>()) << "which is still shown";
  for (auto& slice : b["slices"]) slice.erase("waited_s");
  EXPECT_EQ(compared(a, b)["verdict"], "slower") << "the same rate, if nobody knows why";
}

TEST(BenchComparison, WhatDoesNotDependOnTheMachineIsNoChangeEither) {
  EXPECT_GE(found({.machine = 1}, {.machine = 1.3, .follows = false}, "~"), 20);
  const Simulated half{.slower = 1.15, .machine = 1.4, .follows = false};
  EXPECT_EQ(compared(measured({.machine = 1}, 1), measured(half, 2))["verdict"], "noisy")
      << "slower as it was measured, faster without the machine";
}

TEST(BenchComparison, AMachineThatNobodyLookedAtChangesNothing) {
  const json before = measured({.machine = 1}, 1);
  const json now = measured({.slower = 1.3}, 2);
  EXPECT_EQ(compared(before, now)["verdict"], "slower");
  EXPECT_TRUE(compared(before, now)["machine"].is_null());
  json a = report(json::array({before}));
  json b = report(json::array({measured({.machine = 1.3}, 2)}));
  EXPECT_EQ(compare_reports(a, b, 0.01, 0.1)["tests"][0]["verdict"], "~");
  b["data"]["environment"]["machine"]["work"] = "of another compiler";
  EXPECT_EQ(compare_reports(a, b, 0.01, 0.1)["tests"][0]["verdict"], "slower");
  EXPECT_TRUE(compare_reports(a, b, 0.01, 0.1)["machine"].is_null());
}

TEST(BenchComparison, TheMachinesChangeIsOneSentence) {
  const auto text = [](const Simulated& before, const Simulated& now) {
    json found =
        compare_reports(report(json::array({measured(before, 1)})), report(json::array({measured(now, 2)})), 0.01, 0.1);
    describe_machine(found, "a.json", "b.json");
    return found["machine"]["text"];
  };
  EXPECT_TRUE(text({.machine = 1}, {.machine = 1}).is_null());
  const std::string slower = text({.machine = 1}, {.machine = 1.3});
  EXPECT_TRUE(slower.starts_with("the machine itself was ")) << slower;
  EXPECT_TRUE(slower.ends_with(" % slower in b.json")) << slower;
  const std::string faster = text({.machine = 1.3}, {.machine = 1});
  EXPECT_TRUE(faster.ends_with(" % faster in b.json")) << faster;
  const std::string varied = text({.machine = 1}, {.machine = 1, .wandering = 0.1});
  EXPECT_TRUE(varied.starts_with("the machine itself varied by ")) << varied;
  EXPECT_TRUE(varied.ends_with(" % during b.json")) << varied;
}

TEST(BenchComparison, WhatIsNotMeasuredAnyMoreIsTheWorstRegression) {
  const json good = measured({}, 1);
  json failed = measured({.stalled = kSlices, .failed = 100}, 2);
  failed["reason"] = "every operation failed; it was given up";
  json skipped{{"name", "p256-sign"}, {"data_size", nullptr}, {"side", nullptr},
               {"status", "skipped"}, {"reason", "no key"},   {"comparison", nullptr}};
  for (const json& now : {failed, skipped}) {
    EXPECT_EQ(compared(good, now)["verdict"], "missing");
    EXPECT_EQ(compared(good, now)["regressed"], true);
    EXPECT_EQ(compared(now, good)["regressed"], false);
    EXPECT_EQ(compared(now, now)["regressed"], false) << "it was no better before";
  }
  EXPECT_NE(compared(good, failed)["reason"].get<std::string>().find("given up"), std::string::npos);
  json other = good;
  other["name"] = "sha256";
  const json rows = compare_reports(report(json::array({good})), report(json::array({other})), 0.01, 0.1);
  EXPECT_EQ(rows["compared"], 0);
  ASSERT_EQ(rows["tests"].size(), 2u);
  EXPECT_EQ(rows["tests"][0]["regressed"], true);
  EXPECT_EQ(rows["tests"][1]["regressed"], false);
  EXPECT_EQ(compared(good, measured({.failed = 3}, 2))["regressed"], true) << "it failed never before";
  EXPECT_EQ(compared(measured({.failed = 3}, 1), measured({.failed = 4}, 2))["regressed"], false) << "chance";
  EXPECT_EQ(compared(measured({.failed = 3}, 1), measured({.failed = 400}, 2))["regressed"], true);
}

TEST(BenchComparison, OtherSettingsAreTold) {
  const json a = measured({}, 1);
  json b = a;
  b["threads"] = 4;
  json second = report(json::array({b}));
  second["data"]["settings"]["threads"] = 4;
  const json found = compare_reports(report(json::array({a})), second, 0.01, 0.1);
  EXPECT_EQ(found["settings_differences"], json::array({{{"what", "threads"}, {"a", 1}, {"b", 4}}}));
  EXPECT_EQ(found["tests"][0]["reason"], "threads 4, before 1");
}

TEST(BenchReport, FlawsAreNamed) {
  const json good = json::parse(report(json::array({measured({}, 1)})).dump());
  EXPECT_EQ(report_flaw(good), "");
  const auto flaw = [&](const char* where, const json& value) {
    json bad = good;
    bad[json::json_pointer(where)] = value;
    return report_flaw(bad);
  };
  EXPECT_EQ(flaw("/data/tests/0/rate", 5), "data.tests[0].rate is a number, which it cannot be");
  EXPECT_NE(flaw("/data/tests/0/rate/per_second", nullptr), "");
  EXPECT_NE(flaw("/data/tests/0/slices/3/median_ns", "x"), "");
  EXPECT_NE(flaw("/data/tests/0/slices/3/machine_ns", "x"), "");
  EXPECT_EQ(flaw("/data/tests/0/slices/3/machine_ns", 40e3), "");
  EXPECT_NE(flaw("/data/environment/machine", json::object()), "");
  EXPECT_NE(flaw("/data/tests/0/slices/3", json::array()), "");
  EXPECT_NE(flaw("/data/tests/0/latency/raw/buckets", "x"), "");
  EXPECT_NE(flaw("/data/tests/0/name", 5), "");
  EXPECT_NE(flaw("/data/tests/0", nullptr), "");
  EXPECT_NE(flaw("/data/tests", json::object()), "");
  EXPECT_NE(flaw("/data/environment", 7), "");
  EXPECT_NE(flaw("/data", json::array()), "");
  json cut = good;
  cut["data"]["tests"][0].erase("count");
  EXPECT_EQ(report_flaw(cut), "data.tests[0].count is missing");
}

}  // namespace
}  // namespace p11shim
