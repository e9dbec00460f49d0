// The built `shimctl explain…`: what it answers, in which form, and with which exit code.
#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>

#include "fixture.h"
#include "schema.h"
#include "tests/places.h"

namespace p11shim {
namespace {

using nlohmann::json;

class ExplainTest : public ShimctlTest {
 protected:
  const std::string control = folder / "control.sock";
  std::optional<Process> proxyd;
  std::optional<Process> asked;
  int code = -1;

  Process& ask(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--control", control});
    asked.emplace(shimctl(arguments), Variables{{"P11SHIM_EXPLAIN_DIR", folder / "profiles"}});
    asked->send(input);
    asked->end_input();
    code = asked->wait();
    return *asked;
  }
  json codes(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"-o", "json"});
    const auto envelope = json::parse(ask(arguments, input).out, nullptr, false);
    EXPECT_EQ(envelope.value("schema", ""), "p11shim.explain.error/1") << asked->out << asked->err;
    EXPECT_EQ(schema_error(envelope), "") << asked->out;
    return envelope["data"]["codes"];
  }
  std::string name(const std::string& spelling) {
    const auto found = codes({"explain-error", spelling});
    return found.empty() ? "" : found[0].value("name", "");
  }
};

TEST_F(ExplainTest, AnySpellingWillDo) {
  for (const char* spelling :
       {"0x150", "336", "CKR_BUFFER_TOO_SMALL", "buffer_too_small", "buffer_to_small", "C_Sign failed: rv = 0x150"}) {
    EXPECT_EQ(name(spelling), "CKR_BUFFER_TOO_SMALL") << spelling;
    EXPECT_EQ(code, 0);
  }
}

TEST_F(ExplainTest, JsonHasEverything) {
  const auto found = codes({"explain", "error", "device_error"});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]["value"], 0x30);
  EXPECT_EQ(found[0]["fault"], "token");
  EXPECT_EQ(found[0]["breaker"], true);
  EXPECT_EQ(found[0]["retry"], "backoff");
  EXPECT_TRUE(found[0]["live"].is_null());
  for (const char* list : {"causes", "fix", "functions", "made_by_proxyd"})
    EXPECT_FALSE(found[0][list].empty()) << list;
  for (const char* client : {"openssl", "java", "gnutls", "python"})
    EXPECT_TRUE(found[0]["clients"][client].is_string()) << client;
}

// The same words as docs/pools.md, which proxyd's own rules write.
TEST_F(ExplainTest, WhatAPoolMakesOfACodeIsWhatTheTableSays) {
  std::ifstream document(source_dir() + "/docs/pools.md");
  std::map<std::string, std::array<std::string, 4>> rows;
  static const std::regex kRow(R"(\| `(CKR_\w+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|)");
  std::smatch row;
  for (std::string line; std::getline(document, line);)
    if (std::regex_match(line, row, kRow)) rows[row[1]] = {row[2], row[3], row[4], row[5]};
  const auto found = codes({"explain-error", "--list"});
  std::size_t compared = 0;
  for (const auto& each : found) {
    if (!rows.contains(each["name"])) continue;
    const auto& [blame, elsewhere, anew, again] = rows[each["name"]];
    EXPECT_EQ(each["member"]["blame"], blame) << each["name"];
    EXPECT_EQ(each["member"]["repeated_elsewhere"], elsewhere != "no") << each["name"];
    EXPECT_EQ(each["member"]["new_worker"], anew != "no") << each["name"];
    EXPECT_EQ(each["member"]["looked_up_again"], again != "no") << each["name"];
    EXPECT_EQ(each["breaker"], blame != "no") << each["name"];
    ++compared;
  }
  EXPECT_EQ(compared, rows.size());
  EXPECT_GT(compared, 100U);
}

TEST_F(ExplainTest, AContextLimitsTheCauses) {
  const auto found = codes({"explain-error", "CKR_DATA_LEN_RANGE", "--context", "sign"});
  EXPECT_EQ(found[0]["causes_in"].size(), 1U);
  EXPECT_TRUE(found[0]["causes_in"].contains("sign"));
  EXPECT_NE(ask({"explain-error", "0x21", "--context", "sing"}).err.find("did you mean \"sign\""), std::string::npos);
  EXPECT_EQ(code, 2);
}

TEST_F(ExplainTest, ReadsALogFromStandardInput) {
  const auto found = codes({"explain-error", "-"}, "started\nC_Login: CKR_PIN_INCORRECT\nrv = 0x30\nrv = 0xa0\n");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0]["name"], "CKR_PIN_INCORRECT");
  EXPECT_EQ(found[1]["name"], "CKR_DEVICE_ERROR");
  EXPECT_TRUE(found[0]["asked"].is_null());  // a log may hold what should not be repeated
  const auto unnamed = codes({"explain-error"}, "C_Login: CKR_PIN_LOCKED\n");
  ASSERT_EQ(unnamed.size(), 1U);
  EXPECT_EQ(unnamed[0]["name"], "CKR_PIN_LOCKED");
  ask({"explain-error", "-"}, "nothing here\n");
  EXPECT_EQ(code, 7);
}

TEST_F(ExplainTest, AHexadecimalNumberNeedsNo0x) {
  EXPECT_EQ(name("150"), "CKR_BUFFER_TOO_SMALL");
  EXPECT_NE(asked->err.find("this is 0x150, CKR_BUFFER_TOO_SMALL"), std::string::npos) << asked->err;
  EXPECT_EQ(name("160"), "CKR_PIN_INCORRECT");  // a code in decimal: that is meant
}

TEST_F(ExplainTest, WhatNobodyKnowsIsNotFound) {
  EXPECT_NE(ask({"explain-error", "xyzzy\x1b[2J"}).err.find("is no return code"), std::string::npos);
  EXPECT_EQ(asked->err.find('\x1b'), std::string::npos);
  EXPECT_EQ(code, 7);
  ask({"explain-error"});
  EXPECT_EQ(code, 2);
  ask({"explain", "mech", "CKM_NO_SUCH_THING_AT_ALL"});
  EXPECT_EQ(code, 7);
}

TEST_F(ExplainTest, VendorCodesComeFromProfiles) {
  EXPECT_EQ(name("0x80000105"), "0x80000105");
  std::filesystem::create_directory(folder / "profiles");
  std::ofstream(folder / "profiles/example.toml")
      << "vendor = \"Example\"\n[CKR_EXAMPLE_QUORUM]\nvalue = 0x80000105\nmeans = \"Too few have approved.\"\n"
      << "fault = \"authentication\"\nretry = \"after-change\"\n";
  EXPECT_EQ(name("0x80000105"), "CKR_EXAMPLE_QUORUM");
  std::ofstream(folder / "bad.toml") << "[CKR_X]\n";
  EXPECT_NE(ask({"explain-error", "0x30", "--profile", folder / "bad.toml"}).err.find("bad.toml:1"), std::string::npos);
  EXPECT_EQ(code, 3);
}

TEST_F(ExplainTest, ARunningProxydTellsHowOften) {
  std::ofstream(folder / "proxyd.toml") << "listen.unix = \"" << (folder / "proxyd.sock").string() << "\"\n"
                                        << "control.unix = \"" << control << "\"\n"
                                        << "[[module]]\nname = \"m\"\ntokens = \"*\"\npath = \"" << module << "\"\n";
  proxyd.emplace(std::vector<std::string>{folder / "bin/proxyd", "--config", folder / "proxyd.toml"}, variables());
  ASSERT_TRUE(eventually([this] { return ask({"ping"}), code == 0; }));
  const auto found = codes({"explain-error", "CKR_PIN_INCORRECT"});
  EXPECT_EQ(found[0]["live"]["total"], 1);
  EXPECT_EQ(found[0]["live"]["places"][0]["member"], "signing/hsm1");
  EXPECT_EQ(found[0]["live"]["places"][0]["function"], "C_Login");
  EXPECT_NE(ask({"explain-error", "CKR_PIN_INCORRECT"}).out.find("signing/hsm1 C_Login: 1 times"), std::string::npos);
  EXPECT_TRUE(codes({"explain-error", "CKR_PIN_INCORRECT", "--live", "no"})[0]["live"].is_null());
}

TEST_F(ExplainTest, LiveCountsCanBeDemanded) {
  ask({"explain-error", "0x30", "--live", "yes"});
  EXPECT_EQ(code, 4);
}

TEST_F(ExplainTest, MechanismsAttributesAndFunctions) {
  EXPECT_NE(ask({"explain", "mech", "0x1087"}).out.find("CKM_AES_GCM"), std::string::npos);
  EXPECT_NE(ask({"explain", "mech", "CKM_ECDSA_KEY_PAIR_GEN"}).out.find("CKM_EC_KEY_PAIR_GEN"), std::string::npos);
  EXPECT_NE(ask({"explain", "attr", "extractable"}).out.find("CKA_EXTRACTABLE"), std::string::npos);
  EXPECT_NE(ask({"explain", "fn", "signinit"}).out.find("C_SignInit"), std::string::npos);
  const auto all = json::parse(ask({"explain", "fn", "-o", "json"}).out, nullptr, false);
  EXPECT_EQ(all.value("schema", ""), "p11shim.explain.fn/1");
  EXPECT_GE(all["data"]["functions"].size(), 104U);
  for (const char* what : {"fn", "mech", "attr"}) {
    const auto envelope = json::parse(ask({"explain", what, "-o", "json"}).out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << what;
  }
  const auto every = json::parse(ask({"explain", "error", "--list", "-o", "json"}).out, nullptr, false);
  EXPECT_EQ(schema_error(every), "");
}

TEST_F(ExplainTest, FitsANarrowTerminal) {
  asked.emplace(shimctl({"explain-error", "0xa1", "--live", "no"}), Variables{{"COLUMNS", "40"}});
  EXPECT_EQ(asked->wait(), 0);
  std::istringstream lines(asked->out);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(line.size() <= 44 || line.find(' ', 4) == std::string::npos) << line;  // a word stays whole
}

}  // namespace
}  // namespace p11shim
