// info, slot, token, mech.
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

class InfoTest : public ToolboxTest {};
INSTANTIATE_TEST_SUITE_P(Ways, InfoTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(InfoTest, InfoSaysWhatTheModuleIs) {
  const json info = data({"info"});
  EXPECT_EQ(info["through_proxyd"], GetParam() == Way::kProxied);
  EXPECT_GE(info["tokens"], 1);
}

TEST_P(InfoTest, SlotsAndTokensAreListed) {
  EXPECT_EQ(data({"slot", "list"})["slots"][0]["token"], "test");
  EXPECT_EQ(data({"tokens", "ls"})["tokens"][0]["label"], "test");
  const json page = data({"slot", "list", "--limit", "1"});
  ASSERT_EQ(page["slots"].size(), 1u);
  const json rest = data({"slot", "list", "--cursor", page["next"].get<std::string>()});
  EXPECT_EQ(rest["slots"].size(), 1u);
  EXPECT_NE(rest["slots"][0]["slot"], page["slots"][0]["slot"]);
}

TEST_P(InfoTest, TokenInfoAnswersAndFails) {
  const json info = data({"token", "info"});
  EXPECT_EQ(info["label"], "test");
  EXPECT_EQ(info["user_pin_set"], true);
  EXPECT_NE(error({"token", "info", "--token", "nope"}, 7)["why"].get<std::string>().find("\"test\""),
            std::string::npos);
}

TEST_P(InfoTest, MechanismsAreListed) {
  const json list = data({"mech", "list"});
  EXPECT_GT(list["mechanisms"].size(), 10u);
  const json filtered = data({"mech", "list", "SHA256_HMAC", "--detailed"});
  ASSERT_EQ(filtered["mechanisms"].size(), 1u);
  EXPECT_EQ(filtered["mechanisms"][0]["mechanism"], "CKM_SHA256_HMAC");
  EXPECT_EQ(data({"mech", "list", "--diff", "test"})["differences"].size(), 0u);
  error({"mech", "list", "--diff", "nope"}, 7);
}

TEST_P(InfoTest, TokensAreInitialisedAndWiped) {
  const json made = data({"--token", "", "--so-pin-from", "env:SOPIN", "token", "init", "--label", "second"});
  EXPECT_EQ(made["label"], "second");
  const json pin = data(
      {"--token", "second", "--so-pin-from", "env:SOPIN", "token", "init-pin", "--new-pin-from", "env:PIN"});
  EXPECT_EQ(pin["label"], "second");
  EXPECT_EQ(tool({"--token", "second", "key", "gen", "--label", "k"}), 0) << err;
  const std::string fresh = "file:" + write("pin", "4321\n");
  EXPECT_EQ(data({"--token", "second", "token", "set-pin", "--new-pin-from", fresh})["label"], "second");
  EXPECT_EQ(tool({"--token", "second", "--pin-from", fresh, "key", "show", "k"}), 0) << err;
  error({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "wipe"},
        2);  // nobody is there to be asked
  EXPECT_EQ(tool({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "wipe", "--dry-run"}), 0)
      << err;
  EXPECT_EQ(tool({"--token", "second", "--pin-from", fresh, "key", "show", "k"}), 0) << err;
  EXPECT_EQ(data({"--token", "second", "--so-pin-from", "env:SOPIN", "--yes", "token", "wipe"})["label"],
            "second");
  error({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "init", "--label", "third"}, 1);
}

TEST_P(InfoTest, SelftestPasses) {
  const json tested = data({"token", "selftest", "--threads", "2"});
  EXPECT_EQ(tested["passed"], true) << tested.dump(2);
  EXPECT_EQ(data({"key", "list"})["keys"].size(), 0u);
  error({"token", "selftest", "--threads", "0"}, 2);
}

}  // namespace
}  // namespace p11shim
