// Rows are read from what proxyd's own registry writes.
#include "tools/shimctl/commands/stats_rows.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "proxyd/stats/registry.h"
#include "tools/shimctl/failure.h"

namespace p11shim {
namespace {

constexpr std::uint32_t kSign = 44;

class StatsRowsTest : public testing::Test {
 protected:
  Registry registry;
  const ClientId client = registry.client("uid 0 nginx");

  void sign(std::uint64_t nanoseconds, CK_RV rv = CKR_OK, const char* member = "hsm1") {
    registry.record({.member = registry.member("pool", member),
                     .function = kSign,
                     .mechanism = CKM_ECDSA,
                     .client = client,
                     .rv = rv,
                     .times = {.total = nanoseconds}});
  }
  StatsRows rows(StatsSubject subject = StatsSubject::kFunctions, const char* stage = "total") const {
    return read_rows(registry.snapshot(Registry::Detail::kRaw), subject, stage);
  }
  static std::string written(const StatsRows& rows, const StatsLayout& layout = {}) {
    std::ostringstream out;
    write_rows(out, rows, layout);
    return out.str();
  }
};

TEST_F(StatsRowsTest, ReadsFunctionsMechanismsAndClients) {
  sign(1000);
  sign(2000, CKR_DEVICE_ERROR);
  const auto function = rows().at({"pool/hsm1", "C_Sign"});
  EXPECT_EQ(function.calls, 2u);
  EXPECT_EQ(function.failed, 1u);
  EXPECT_EQ(function.errors.at("CKR_DEVICE_ERROR"), 1u);
  EXPECT_EQ(function.latency.max(), 2000u);
  EXPECT_EQ(rows(StatsSubject::kMechanisms).at({"pool/hsm1", "CKM_ECDSA"}).calls, 2u);
  EXPECT_EQ(rows(StatsSubject::kClients).at({"", "uid 0 nginx"}).failed, 1u);
}

TEST_F(StatsRowsTest, HasNoLatencyOfAStageThatWasNotMeasured) {
  sign(1000);
  EXPECT_EQ(rows(StatsSubject::kFunctions, "hsm").at({"pool/hsm1", "C_Sign"}).latency.count(), 0u);
}

TEST_F(StatsRowsTest, NamesTheMemberOrWhatStandsForIt) {
  registry.record({.member = registry.member("pool", ""), .function = kSign, .client = client});
  registry.record({.member = registry.member("", ""), .function = kSign, .client = client});
  EXPECT_TRUE(rows().contains({"pool", "C_Sign"}));
  EXPECT_TRUE(rows().contains({"proxyd", "C_Sign"}));
  registry.record({.member = registry.member("token", "token"), .function = kSign, .client = client});
  EXPECT_TRUE(rows().contains({"token", "C_Sign"}));
}

TEST_F(StatsRowsTest, RefusesWhatProxydDoesNotWrite) {
  for (const char* text :
       {"{}", "[]", "null", R"({"members":[{}]})", R"({"members":[{"pool":"p","member":"m","functions":{"x":{}}}]})"}) {
    EXPECT_THROW(read_rows(nlohmann::json::parse(text), StatsSubject::kFunctions, "total"), Failure) << text;
  }
}

TEST_F(StatsRowsTest, SinceShowsTheChangeOnly) {
  sign(1000);
  sign(1000, CKR_DEVICE_ERROR);
  sign(1000, CKR_OK, "idle");
  const auto before = rows();
  sign(8000);
  sign(8000, CKR_DEVICE_MEMORY);
  const auto change = rows_since(rows(), before);
  ASSERT_EQ(change.size(), 1u);
  const auto& row = change.at({"pool/hsm1", "C_Sign"});
  EXPECT_EQ(row.calls, 2u);
  EXPECT_EQ(row.errors, (std::map<std::string, std::uint64_t>{{"CKR_DEVICE_MEMORY", 1}}));
  EXPECT_EQ(row.latency.count(), 2u);
  EXPECT_NEAR(static_cast<double>(row.latency.percentile(50)), 8000, 8000.0 / 32);
}

TEST_F(StatsRowsTest, SinceARestartShowsEverything) {
  sign(1000);
  sign(1000);
  const auto before = rows();
  Registry restarted;
  restarted.record({.member = restarted.member("pool", "hsm1"), .function = kSign, .client = restarted.client("x")});
  const auto now = read_rows(restarted.snapshot(Registry::Detail::kRaw), StatsSubject::kFunctions, "total");
  EXPECT_EQ(rows_since(now, before).at({"pool/hsm1", "C_Sign"}).calls, 1u);
}

TEST_F(StatsRowsTest, WritesTheBusiestFirstThenTheErrors) {
  sign(2'000'000, CKR_OK, "quiet");
  for (int i = 0; i < 3; ++i) sign(1'000'000, CKR_DEVICE_ERROR, "busy");
  EXPECT_EQ(written(rows()),
            "MEMBER      FUNCTION  CALLS  ERRORS      P50      P90      P99    P99.9      MAX\n"
            "pool/busy   C_Sign        3       3  1.00 ms  1.00 ms  1.00 ms  1.00 ms  1.00 ms\n"
            "pool/quiet  C_Sign        1       0  2.00 ms  2.00 ms  2.00 ms  2.00 ms  2.00 ms\n"
            "\n"
            "MEMBER     FUNCTION  RETURN CODE       COUNT\n"
            "pool/busy  C_Sign    CKR_DEVICE_ERROR      3\n");
}

TEST_F(StatsRowsTest, WritesRatesForAnInterval) {
  for (int i = 0; i < 30; ++i) sign(1000);
  EXPECT_NE(written(rows(), {.seconds = 2}).find("CALLS/S"), std::string::npos);
  EXPECT_NE(written(rows(), {.seconds = 2}).find(" 15 "), std::string::npos);
}

TEST_F(StatsRowsTest, SaysWhenThereIsNothing) { EXPECT_EQ(written(rows()), "no calls\n"); }

}  // namespace
}  // namespace p11shim
