// A token with a hundred thousand keys, and one that is about to lock its PIN.
#include <algorithm>
#include <sstream>

#include "schema.h"
#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

const std::string kModule = build_dir() + "/tests/crowded_module.so";

class CrowdTest : public ToolboxTest {
 protected:
  void SetUp() override {}  // no SoftHSM

  std::size_t logins() const { return read("logins").size(); }
  int crowded(Words words, const std::string& flags = "0") {
    words.insert(words.begin(), {"--module", kModule});
    return bare(words, {{"CROWDED_FLAGS", flags},
                        {"CROWDED_LOGINS", path("logins")},
                        {"ASAN_OPTIONS", "fast_unwind_on_malloc=1"}});  // other tests slow a sanitizer down
  }
};
INSTANTIATE_TEST_SUITE_P(Ways, CrowdTest, testing::Values(Way::kDirect), name_of);

TEST_P(CrowdTest, AHundredThousandKeysAreListed) {
  ASSERT_EQ(crowded({"key", "list", "-o", "ndjson"}), 0) << err;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 100'000);
  ASSERT_EQ(crowded({"key", "list", "--limit", "10", "--cursor", "99995", "-o", "json"}), 0) << err;
  EXPECT_EQ(json::parse(out)["data"]["keys"].size(), 5u);
  ASSERT_EQ(crowded({"key", "list", "-o", "csv"}), 0) << err;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 100'001);
}

TEST_P(CrowdTest, ProgressIsForMachinesToo) {
  ASSERT_EQ(crowded({"key", "list", "-o", "csv", "--progress", "json"}), 0) << err;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(schema_error(json::parse(line, nullptr, false)), "") << line;
  }
}

TEST_P(CrowdTest, AWrongPinIsGivenToTheTokenOnce) {
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "key", "list"}), 6);
  EXPECT_EQ(logins(), 1u);
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "key", "diff", "key-1", "--other-token", "crowded"}), 6);
  EXPECT_EQ(logins(), 2u);
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "bench", "run", "--only", "random", "--connections", "3"}), 6);
  EXPECT_EQ(logins(), 3u);
}

TEST_P(CrowdTest, ALockedTokenIsNotTried) {
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "key", "list"}, "0x40000"), 6);  // CKF_USER_PIN_LOCKED
  EXPECT_NE(err.find("is locked"), std::string::npos) << err;
  EXPECT_EQ(logins(), 0u);
}

TEST_P(CrowdTest, TheLastTryNeedsAYes) {
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "key", "list"}, "0x20000"), 6);  // CKF_USER_PIN_FINAL_TRY
  EXPECT_NE(err.find("one try left"), std::string::npos) << err;
  EXPECT_EQ(logins(), 0u);
  EXPECT_EQ(crowded({"--pin-from", "env:PIN", "--yes", "key", "list"}, "0x20000"), 6);
  EXPECT_EQ(logins(), 1u);
}

}  // namespace
}  // namespace p11shim
