// However often a peer gives a reason, the log gets a few lines of it, and how many more there were.
#include "proxyd/loop/log_quota.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

namespace p11shim {
namespace {

class LogQuotaTest : public testing::Test {
 protected:
  int allowed(std::string_view kind, long uid, std::uint64_t now_ms, int times) {
    int count = 0;
    for (int i = 0; i < times; ++i) count += quota.allows(kind, uid, now_ms) ? 1 : 0;
    return count;
  }
  std::string told(std::uint64_t now_ms) {
    text.str("");
    quota.tell(now_ms);
    return text.str();
  }

  std::ostringstream text;
  spdlog::logger log = [this] {
    spdlog::logger made("test", std::make_shared<spdlog::sinks::ostream_sink_st>(text));
    made.set_pattern("%v");
    return made;
  }();
  LogQuota quota{log};
};

TEST_F(LogQuotaTest, AllowsTwentyAtOnceAndFiveASecond) {
  EXPECT_EQ(allowed("refused", 1000, 5000, 100), 20);
  EXPECT_EQ(allowed("refused", 1000, 5199, 100), 0);
  EXPECT_EQ(allowed("refused", 1000, 6000, 100), 5);
  EXPECT_EQ(allowed("refused", 1000, 100'000, 100), 20);
}

TEST_F(LogQuotaTest, TellsKindsAndUsersApart) {
  EXPECT_EQ(allowed("refused", 1000, 0, 100), 20);
  EXPECT_EQ(allowed("refused", 1001, 0, 100), 20);
  EXPECT_EQ(allowed("closed", 1000, 0, 100), 20);
}

TEST_F(LogQuotaTest, TellsOnceHowManyMoreThereWere) {
  allowed("refused", 1000, 0, 100);
  EXPECT_EQ(told(100), "");
  EXPECT_EQ(told(1000), "80 more like this were not logged (uid 1000): refused\n");
  EXPECT_EQ(told(2000), "");
}

TEST_F(LogQuotaTest, KeepsABoundedNumber) {
  for (long uid = 0; uid < 100'000; ++uid) EXPECT_TRUE(quota.allows("refused", uid, 0) || uid >= 1024);
  EXPECT_EQ(allowed("refused", 200'000, 0, 100), 0) << "the rest shares one";
  EXPECT_EQ(told(1000), "99056 more like this were not logged (uid -1): refused\n");
}

}  // namespace
}  // namespace p11shim
