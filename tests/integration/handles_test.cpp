// Handles of token objects are names: the same after a restart, in every application, before and after login.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "application.h"
#include "configs.h"
#include "tests/places.h"

namespace p11shim {
namespace {

class Handles : public testing::Test {
 protected:
  std::optional<SofthsmTokens> tokens;
  std::optional<PrivateProxyd> proxyd;
  void SetUp() override {
    if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
    tokens.emplace();
    proxyd.emplace(tokens->config());
    proxyd->start();
  }
};

TEST_F(Handles, AreTheSameEverywhereAndAfterARestart) {
  CK_OBJECT_HANDLE key = 0, data = 0;
  {
    TestApplication application(*proxyd);
    const auto session = application.open();
    data = application.create_data(session, true, "data", "value");
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    key = application.generate_aes(session, true, "key");
    EXPECT_EQ(application.one(session, CKO_DATA), data);
    EXPECT_EQ(application.one(session, CKO_SECRET_KEY), key);
    TestApplication other(*proxyd);
    const auto others = other.open();
    EXPECT_EQ(other.one(others, CKO_DATA), data);
    EXPECT_TRUE(other.find(others, CKO_SECRET_KEY).empty());
    EXPECT_EQ(other.encrypt(others, key), CKR_OBJECT_HANDLE_INVALID);  // SoftHSM's word for it
    ASSERT_EQ(other.log_in(others, compare::kUserPin), CKR_OK);
    EXPECT_EQ(other.one(others, CKO_SECRET_KEY), key);
  }
  proxyd->restart();
  TestApplication application(*proxyd);
  const auto session = application.open();
  EXPECT_EQ(application.one(session, CKO_DATA), data);
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(application.one(session, CKO_SECRET_KEY), key);
  EXPECT_LT(key, CK_ULONG{1} << 63);
}

TEST_F(Handles, SurviveAChangeOfLabelAlsoWithoutProofAndAfterARestart) {
  CK_OBJECT_HANDLE key = 0, data = 0;
  {
    TestApplication application(*proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    key = application.generate_aes(session, true, "before");
    data = application.create_data(session, true, "before", "value");
    ASSERT_EQ(application.set_label(session, key, "after"), CKR_OK);
    ASSERT_EQ(application.set_label(session, data, "after"), CKR_OK);
    EXPECT_EQ(application.one(session, CKO_SECRET_KEY, "after"), key);
    EXPECT_EQ(application.one(session, CKO_DATA, "after"), data);
    EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  }
  proxyd->restart();
  TestApplication application(*proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(application.one(session, CKO_SECRET_KEY, "after"), key);
  EXPECT_EQ(application.one(session, CKO_DATA, "after"), data);
}

TEST_F(Handles, TwinsAreTwoObjectsWithStableHandles) {
  std::set<CK_OBJECT_HANDLE> before;
  CK_OBJECT_HANDLE renamed = 0;
  const auto sorted = [](const std::vector<CK_OBJECT_HANDLE>& found) { return std::set(found.begin(), found.end()); };
  {
    TestApplication application(*proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    application.create_data(session, true, "twin", "value");
    application.create_data(session, true, "twin", "value");
    renamed = application.create_data(session, true, "twin", "value");
    ASSERT_EQ(application.set_label(session, renamed, "third"), CKR_OK);
    before = sorted(application.find(session, CKO_DATA));
    EXPECT_EQ(before.size(), 3u);
    EXPECT_EQ(application.one(session, CKO_DATA, "third"), renamed);
  }
  proxyd->restart();
  TestApplication application(*proxyd);
  const auto session = application.open();
  EXPECT_EQ(application.one(session, CKO_DATA, "third"), renamed);
  EXPECT_EQ(sorted(application.find(session, CKO_DATA)), before);
}

TEST_F(Handles, KeyOfAWrongSizeOrOpenToOthersIsRefused) {
  EXPECT_EQ(proxyd->stop(), 0);
  const auto key = proxyd->path() / "state" / "handle_key";
  const auto refused = [&](const std::string& reason) {
    Process process({build_dir() + "/bin/proxyd", "--config", proxyd->config_file()});
    EXPECT_EQ(process.wait(), 1);
    EXPECT_NE(proxyd->log().find(reason), std::string::npos) << proxyd->log();
  };
  std::filesystem::permissions(key, std::filesystem::perms(0644));
  refused("others can read " + key.string());
  std::filesystem::permissions(key, std::filesystem::perms(0600));
  std::ofstream(key, std::ios::trunc) << "too short";
  refused("must hold exactly 32 bytes");
}

}  // namespace
}  // namespace p11shim
