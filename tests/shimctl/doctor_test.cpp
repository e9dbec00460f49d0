// doctor and explain check.
#include <algorithm>
#include <map>
#include <set>

#include "schema.h"
#include "tests/places.h"
#include "toolbox.h"

namespace p11shim {
namespace {

using nlohmann::json;

const std::string kCrowded = build_dir() + "/tests/crowded_module.so";
const std::string kUnit = build_dir() + "/systemd/proxyd.service";

class DoctorTest : public ToolboxTest {
 protected:
  // By name; what doctor answers is in `answer`.
  std::map<std::string, json> examine(Words words, int expected, const Variables& more = {}) {
    words.insert(words.end(), {"-o", "json"});
    if (more.empty()) EXPECT_EQ(tool(words), expected) << err;
    else EXPECT_EQ(bare(words, more), expected) << err;
    const json envelope = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out;
    answer = envelope.value("data", json());
    std::map<std::string, json> checks;
    for (const json& check : answer["checks"]) checks[check["check"]] = check;
    return checks;
  }
  std::map<std::string, json> crowded(const Variables& more, int expected, Words words = {}) {
    words.insert(words.begin(), {"--module", kCrowded, "--pin-from", "env:PIN", "doctor", "--timeout", "1"});
    Variables all{{"CROWDED_LOGINS", path("logins")}};
    for (const auto& [name, value] : more) all[name] = value;
    return examine(words, expected, all);
  }
  std::string config(const std::string& more) const {
    const std::string file =
        write("proxyd.toml", "[listen]\nunix = \"" + path("p.sock") + "\"\n[control]\nunix = \"" + path("c.sock") +
                                 "\"\n[state]\ndirectory = \"" + path("state") + "\"\n" + more);
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    return file;
  }

  json answer;
};
INSTANTIATE_TEST_SUITE_P(Ways, DoctorTest, testing::Values(Way::kDirect, Way::kProxied), name_of);

TEST_P(DoctorTest, AHealthyTokenPasses) {
  auto checks = examine({"doctor", "--unit", kUnit}, 0);
  EXPECT_EQ(answer["healthy"], true) << answer.dump(1);
  EXPECT_TRUE(answer["score"].is_null());
  for (const char* name :
       {"module-file", "module-loads", "tokens", "user-pin", "mechanisms", "random", "login", "unit"})
    EXPECT_EQ(checks[name]["result"], "PASS") << checks[name];
  const char* behind = GetParam() == Way::kProxied ? "PASS" : "SKIP";
  for (const char* name : {"endpoint-socket", "endpoint-permission", "endpoint-answers", "control-socket",
                           "proxyd-version", "protocol", "members", "breakers", "application-sessions"})
    EXPECT_EQ(checks[name]["result"], behind) << checks[name];
  ASSERT_EQ(tool({"doctor", "--unit", kUnit}), 0) << err;
  EXPECT_NE(out.find(" 13  PASS  user-pin: \"test\""), std::string::npos) << out;
}

TEST_P(DoctorTest, EveryCheckIsExplained) {
  examine({"doctor", "--readiness", "--unit", kUnit}, 0);
  std::set<std::string> made;
  for (const json& check : answer["checks"]) made.insert(check["check"]);
  const json explained = data({"explain", "check"});
  for (const json& check : explained["checks"])
    EXPECT_EQ(made.contains(check["name"]), check["of"] != "audit") << check["name"];
  EXPECT_EQ(data({"explain", "check", "13"})["checks"][0]["name"], "user-pin");
  EXPECT_EQ(data({"explain", "check", "user_pin"})["checks"][0]["number"], 13);
  error({"explain", "check", "xyzzyxyzzy"}, 7);
}

TEST_P(DoctorTest, SaysWhatAModuleIsNot) {
  const std::string script = write("script.so", "#!/bin/sh\n");
  auto checks = examine({"--module", script, "doctor"}, 1);
  EXPECT_EQ(checks["module-file"]["result"], "FAIL");
  EXPECT_FALSE(checks["module-file"]["fix"].empty());
  EXPECT_EQ(checks["module-loads"]["result"], "SKIP");
  EXPECT_EQ(answer["healthy"], false);
  EXPECT_EQ(tool({"--module", path("none.so"), "doctor", "--fail-on", "never"}), 0) << err;
}

TEST_P(DoctorTest, SurvivesModulesThatDoNot) {
  EXPECT_NE(crowded({{"CROWDED_INITIALIZE", "crash"}}, 1)["module-loads"]["detail"].get<std::string>().find(
                "crashes with signal 9"),
            std::string::npos);
  EXPECT_NE(crowded({{"CROWDED_INITIALIZE", "hang"}}, 1)["module-loads"]["detail"].get<std::string>().find("hangs"),
            std::string::npos);
}

TEST_P(DoctorTest, TriesNoPinWhereTriesWereLost) {
  auto checks = crowded({{"CROWDED_FLAGS", "0x20000"}}, 1);  // CKF_USER_PIN_FINAL_TRY
  EXPECT_EQ(checks["user-pin"]["result"], "FAIL");
  EXPECT_EQ(checks["user-pin"]["explain"], "CKR_PIN_LOCKED");
  EXPECT_EQ(checks["login"]["result"], "SKIP");
  EXPECT_EQ(crowded({{"CROWDED_FLAGS", "0x10000"}}, 1)["user-pin"]["result"],
            "WARN");  // CKF_USER_PIN_COUNT_LOW
  EXPECT_EQ(crowded({{"CROWDED_FLAGS", "0x1000000"}}, 1)["token-state"]["result"], "FAIL");
  EXPECT_EQ(read("logins"), ".");  // of the token in its error state; those with lost tries were left alone
  EXPECT_EQ(crowded({}, 1)["random"]["result"], "FAIL");
}

TEST_P(DoctorTest, ReadinessHasAScore) {
  std::filesystem::create_directory(path("state"));
  const std::string poor =
      config("[[module]]\nname = \"m\"\npath = \"" + kCrowded + "\"\ntokens = \"*\"\nadmin = true\n");
  auto checks = examine({"doctor", "--readiness", "--config", poor, "--unit", kUnit}, 1);
  EXPECT_EQ(checks["audit-on"]["result"], "FAIL");
  EXPECT_EQ(checks["admin"]["result"], "FAIL");
  EXPECT_EQ(checks["hardening"]["result"], "PASS");
  EXPECT_EQ(checks["restart"]["result"], "PASS");
  const int low = answer["score"];
  const std::string better =
      config("[audit]\nenabled = true\nfile = \"\"\njournal = true\n[[module]]\nname = \"m\"\npath = \"" + kCrowded +
             "\"\ntokens = \"*\"\n");
  checks = examine({"doctor", "--readiness", "--config", better, "--unit", kUnit}, code);
  EXPECT_EQ(checks["audit-on"]["result"], "PASS");
  EXPECT_GT(answer["score"].get<int>(), low);
  EXPECT_LE(answer["score"].get<int>(), 100);
  const std::string wrong = config("nonsense = 1\n");
  EXPECT_EQ(examine({"doctor", "--config", wrong}, 1)["proxyd-configuration"]["result"], "FAIL");
}

TEST_P(DoctorTest, ReadsTheUnitWithItsDropIns) {
  std::string text = "[Service]\nNoNewPrivileges=true\nProtectHome=yes\n";
  const std::string unit = write("proxyd.service", text);
  auto checks = examine({"doctor", "--unit", unit}, 1);
  EXPECT_EQ(checks["unit"]["result"], "FAIL");
  EXPECT_NE(checks["unit"]["detail"].get<std::string>().find("PrivateTmp=yes"), std::string::npos);
  EXPECT_EQ(checks["unit"]["detail"].get<std::string>().find("NoNewPrivileges"), std::string::npos);
  std::filesystem::copy(kUnit, path("proxyd.service"), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::create_directory(path("proxyd.service.d"));
  write("proxyd.service.d/override.conf", "[Service]\nMemoryDenyWriteExecute=no\n");
  checks = examine({"doctor", "--unit", unit}, 0);
  EXPECT_EQ(checks["unit"]["result"], "WARN");
  EXPECT_NE(checks["unit"]["detail"].get<std::string>().find("MemoryDenyWriteExecute=yes"), std::string::npos);
  EXPECT_EQ(tool({"doctor", "--unit", unit, "--fail-on", "warn"}), 1);
}

TEST_P(DoctorTest, FortyColumnsAreEnough) {
  ASSERT_EQ(bare({"--module", kCrowded, "doctor"}, {{"COLUMNS", "40"}}), 1) << err;
  EXPECT_NE(out.find("failed"), std::string::npos);
}

}  // namespace
}  // namespace p11shim
