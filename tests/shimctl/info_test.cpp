// info, slot, token, mech.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/places.h"
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
  const json pin =
      data({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "init-pin", "--new-pin-from", "env:PIN"});
  EXPECT_EQ(pin["label"], "second");
  EXPECT_EQ(tool({"--token", "second", "key", "gen", "--label", "k"}), 0) << err;
  const std::string fresh = "file:" + write("pin", "4321\n");
  EXPECT_EQ(data({"--token", "second", "token", "set-pin", "--new-pin-from", fresh})["label"], "second");
  EXPECT_EQ(tool({"--token", "second", "--pin-from", fresh, "key", "show", "k"}), 0) << err;
  error({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "wipe"},
        2);  // nobody is there to be asked
  EXPECT_EQ(tool({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "wipe", "--dry-run"}), 0) << err;
  EXPECT_EQ(tool({"--token", "second", "--pin-from", fresh, "key", "show", "k"}), 0) << err;
  EXPECT_EQ(data({"--token", "second", "--so-pin-from", "env:SOPIN", "--yes", "token", "wipe"})["label"], "second");
  error({"--token", "second", "--so-pin-from", "env:SOPIN", "token", "init", "--label", "third"}, 1);
}

TEST_P(InfoTest, MechanismsAreComparedWithThoseOfAMember) {
  if (GetParam() == Way::kDirect) {
    error({"mech", "list", "--diff", "pool/none"}, 4);
    return;
  }
  ASSERT_EQ(tool({"key", "gen", "--label", "k"}), 0) << err;
  ASSERT_EQ(bare({"status", "-o", "json"}), 0) << err;
  std::string member;
  const json status = json::parse(out);
  for (const json& each : status["data"]["members"])
    if (each["token"] == "test") member = each["member"];
  EXPECT_EQ(data({"mech", "list", "--diff", member})["differences"].size(), 0u) << member;
  EXPECT_EQ(data({"key", "diff", "k", "--other-member", member})["same_public_key"], true);
  EXPECT_NE(error({"mech", "list", "--diff", "pool/none"}, 7)["why"].get<std::string>().find(member),
            std::string::npos);
  error({"key", "diff", "k", "--other-member", "none"}, 7);
}

TEST_P(InfoTest, TheManualHasEveryCommand) {
  ASSERT_EQ(bare({"manual"}), 0) << err;
  const std::string page = out;
  std::size_t commands = 0;
  ASSERT_EQ(bare({"complete", "--", ""}), 0) << err;
  std::istringstream nouns(out);
  for (std::string noun; std::getline(nouns, noun);) {
    if (noun.empty() || noun[0] == '-') continue;
    EXPECT_NE(page.find(".SS \"shimctl " + std::regex_replace(noun, std::regex("-"), "\\-")), std::string::npos)
        << noun;
    ++commands;
  }
  EXPECT_GT(commands, 20U);
  for (const char* text : {".TH SHIMCTL 1", ".SS \"shimctl key gen\"", "\\-\\-pin\\-from", ".SH EXIT STATUS"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  write("shimctl.1", page);
  if (shell("command -v groff") == 0) {
    EXPECT_EQ(shell("groff -man -Tutf8 -ww -z shimctl.1"), 0);
    EXPECT_EQ(err, "");
  }
}

TEST_P(InfoTest, CompletionKnowsTheNamesThatExplainExplains) {
  ASSERT_EQ(bare({"complete", "--", "explain-error", "CKR_BUF"}), 0) << err;
  EXPECT_EQ(out, "CKR_BUFFER_TOO_SMALL\n");
  ASSERT_EQ(bare({"complete", "--", "explain", "mech", "CKM_AES_GC"}), 0) << err;
  EXPECT_EQ(out, "CKM_AES_GCM\n");
  ASSERT_EQ(bare({"complete", "--", "explain", "attr", "CKA_EC_PO"}), 0) << err;
  EXPECT_EQ(out, "CKA_EC_POINT\n");
}

TEST_P(InfoTest, ANameInATableIsNeverCut) {
  std::vector<std::string> words{"--token", "test"};
  if (GetParam() == Way::kDirect) words.insert(words.end(), {"--module", "/usr/lib/softhsm/libsofthsm2.so"});
  words.insert(words.end(), {"mech", "list", "--detailed"});
  for (const char* columns : {"40", "60", "100"}) {
    ASSERT_EQ(bare(words, {{"COLUMNS", columns}}), 0) << err;
    EXPECT_NE(out.find("CKM_RSA_PKCS_KEY_PAIR_GEN"), std::string::npos) << columns << out.substr(0, 300);
  }
}

// What explain advises can be typed.
TEST_P(InfoTest, TextsNameNoCommandThatDoesNotExist) {
  ASSERT_EQ(bare({"manual"}), 0) << err;
  const std::string page = std::regex_replace(out, std::regex(R"(\\-)"), "-");
  static const std::regex kCommand("`shimctl ((?:--?[a-zA-Z-]+ (?:LABEL |PATH )?)*)([a-z-]+)(?: ([a-z-]+))?");
  std::size_t found = 0;
  for (const auto& file : std::filesystem::directory_iterator(source_dir() + "/tools/shimctl/explain/data")) {
    std::ifstream stream(file.path());
    std::ostringstream text;
    text << stream.rdbuf();
    const std::string all = text.str();
    for (std::sregex_iterator match(all.begin(), all.end(), kCommand), end; match != end; ++match, ++found) {
      const std::string noun = "\n.SS \"shimctl " + (*match)[2].str();
      const bool whole = page.find(noun + "\"") != std::string::npos || page.find(noun + " [") != std::string::npos;
      const std::string verb = noun + " " + (*match)[3].str();
      const bool with_verb = page.find(verb + "\"") != std::string::npos || page.find(verb + " ") != std::string::npos;
      EXPECT_TRUE(whole || with_verb || page.find(noun + " ") != std::string::npos)
          << match->str() << " in " << file.path();
      if (!whole && (*match)[3].matched) {
        EXPECT_TRUE(with_verb) << match->str() << " in " << file.path();
      }
    }
  }
  EXPECT_GT(found, 50U);
}

TEST_P(InfoTest, SelftestPasses) {
  const json tested = data({"token", "selftest", "--threads", "2"});
  EXPECT_EQ(tested["passed"], true) << tested.dump(2);
  EXPECT_EQ(data({"key", "list"})["keys"].size(), 0u);
  error({"token", "selftest", "--threads", "0"}, 2);
}

}  // namespace
}  // namespace p11shim
