#include "tools/shimctl/output/progress.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "schema.h"

namespace p11shim {
namespace {

using nlohmann::json;

std::chrono::milliseconds elapsed;

Progress::Clock::time_point fake_now() { return Progress::Clock::time_point(std::chrono::hours(1)) + elapsed; }

class ProgressTest : public testing::Test {
 protected:
  void SetUp() override { elapsed = {}; }

  Invocation invocation(ProgressMode mode) {
    Invocation made{.out = out, .err = err, .control_path = {}, .command = {}};
    made.progress = mode;
    return made;
  }
  std::vector<json> lines() const {
    std::vector<json> all;
    std::istringstream text(err.str());
    for (std::string line; std::getline(text, line);) all.push_back(json::parse(line, nullptr, false));
    return all;
  }

  std::ostringstream out, err;
};

TEST_F(ProgressTest, WorkOfLessThanASecondIsSilent) {
  const auto how = invocation(ProgressMode::kJson);
  Progress progress(how, "reading", 100, "B", fake_now);
  elapsed = std::chrono::milliseconds(999);
  progress.advance(50);
  EXPECT_EQ(err.str(), "");
}

TEST_F(ProgressTest, MachinesGetALineFiveTimesASecond) {
  const auto how = invocation(ProgressMode::kJson);
  Progress progress(how, "reading", 100, "B", fake_now);
  for (const int at : {1000, 1100, 1199, 1200}) {
    elapsed = std::chrono::milliseconds(at);
    progress.advance(10);
  }
  const auto told = lines();
  ASSERT_EQ(told.size(), 2U);
  for (const json& line : told) EXPECT_EQ(schema_error(line), "") << line;
  EXPECT_EQ(told[0]["data"]["done"], 10);
  EXPECT_EQ(told[1]["data"]["done"], 40);
  EXPECT_EQ(told[0]["data"]["total"], 100);
  EXPECT_DOUBLE_EQ(told[0]["data"]["seconds_left"].get<double>(), 9.0);
  EXPECT_EQ(out.str(), "");
}

TEST_F(ProgressTest, NobodyKnowsTheEndOfAPipe) {
  const auto how = invocation(ProgressMode::kJson);
  Progress progress(how, "reading", 0, "B", fake_now);
  elapsed = std::chrono::seconds(2);
  progress.advance(10);
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_TRUE(lines()[0]["data"]["total"].is_null());
  EXPECT_TRUE(lines()[0]["data"]["seconds_left"].is_null());
}

TEST_F(ProgressTest, NothingIsShownWhereNobodyLooks) {
  for (const auto mode : {ProgressMode::kNone, ProgressMode::kAuto}) {  // stderr of a test is no terminal
    const auto how = invocation(mode);
    Progress progress(how, "reading", 100, "B", fake_now);
    elapsed += std::chrono::seconds(5);
    progress.advance(10);
  }
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace p11shim
