// What an operator sees of a pool and says of its members, by shimctl, while applications work.
#include <fstream>

#include "signers.h"
#include "tests/places.h"
#include "tests/shimctl/schema.h"

namespace p11shim {
namespace {

using nlohmann::json;

class PoolAdmin : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  }
  // shimctl to its end.
  int tool(const PrivateProxyd& proxyd, std::vector<std::string> words, const Variables& more = {}) {
    words.insert(words.begin(), {build_dir() + "/bin/shimctl", "--control", (proxyd.path() / "control.sock").string()});
    Variables variables = more;
    variables["P11SHIM_ENDPOINT"] = proxyd.endpoint();
    Process process(words, variables);
    const int code = process.wait();
    out = process.out;
    err = process.err;
    return code;
  }
  // Its data, valid by its schema.
  json data(const PrivateProxyd& proxyd, std::vector<std::string> words, int wanted = 0, const Variables& more = {}) {
    words.insert(words.end(), {"-o", "json"});
    EXPECT_EQ(tool(proxyd, words, more), wanted) << err;
    const json envelope = json::parse(out, nullptr, false);
    EXPECT_EQ(schema_error(envelope), "") << out;
    return envelope.value("data", json());
  }
  // What doctor says of members that do not hold the same.
  json drift(const PrivateProxyd& proxyd) {
    const json found = data(proxyd, {"doctor", "--fail-on", "never"});
    for (const auto& check : found["checks"])
      if (check["check"] == "pool-drift") return check;
    return json::object();
  }
  std::string out, err;
};

TEST_F(PoolAdmin, ListsPoolsAndShowsWhatBecameOfTheirMembers) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 2);
  ASSERT_TRUE(signers.goes_on());
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  const json pool = data(proxyd, {"pool", "list"})["pools"][0];
  EXPECT_EQ(pool["pool"], "pool");
  EXPECT_EQ(pool["members"], (json{"hsm0", "hsm1"}));
  EXPECT_EQ(pool["members_up"], 2);
  EXPECT_EQ(pool["strategy"], "least-latency");
  EXPECT_EQ(drift(proxyd)["result"], "PASS");

  members.rules(0).set("C_Sign|C_SignInit rv=CKR_DEVICE_ERROR");
  ASSERT_TRUE(eventually([&] { return !is_up(proxyd, "hsm0"); }));
  EXPECT_EQ(tool(proxyd, {"member", "drain", "hsm0", "--reason", "new firmware"}), 0) << err;
  const json shown = data(proxyd, {"pool", "show", "pool"})["members"][0];
  EXPECT_EQ(shown["state"], "draining");  // what is wanted and what is are two things
  EXPECT_EQ(shown["administrative"]["state"], "drain");
  EXPECT_EQ(shown["administrative"]["reason"], "new firmware");
  EXPECT_NE(shown["operational"]["state"], "up");
  bool ejected = false, drained = false;
  for (const auto& each : shown["transitions"]) {
    ejected |=
        each["to"] == "ejected" && each["reason"].get<std::string>().find("CKR_DEVICE_ERROR") != std::string::npos;
    drained |= each["kind"] == "administrative" && each["to"] == "drain" && each["reason"] == "new firmware";
  }
  EXPECT_TRUE(ejected);
  EXPECT_TRUE(drained);
  EXPECT_NE(proxyd.log().find("is ejected: "), std::string::npos);
  EXPECT_EQ(tool(proxyd, {"pool", "show", "pool"}), 0);
  EXPECT_NE(out.find("new firmware"), std::string::npos) << out;

  members.rules(0).set("");
  EXPECT_EQ(data(proxyd, {"member", "ready", "pool/hsm0", "--wait", "30"})["state"], "up");
  EXPECT_EQ(data(proxyd, {"member", "weight", "hsm0", "7"})["weight"], 7);
  EXPECT_EQ(data(proxyd, {"member", "reset-breaker", "hsm0"})["operational"]["state"], "up");
  EXPECT_EQ(data(proxyd, {"member", "maint", "hsm0", "--wait", "30"})["outstanding"], 0);
  EXPECT_EQ(tool(proxyd, {"member", "drain", "hsm9"}), 7);
  EXPECT_EQ(tool(proxyd, {"member", "weight", "hsm0", "0"}), 2);
  EXPECT_EQ(tool(proxyd, {"pool", "show", "other"}), 7);
  EXPECT_EQ(tool(proxyd, {"-n", "member", "ready", "hsm0"}), 0);
  EXPECT_EQ(data(proxyd, {"pool", "show", "pool"})["members"][0]["state"], "maintenance");
  EXPECT_EQ(tool(proxyd, {"complete", "--", "member", "drain", "hs"},
                 {{"P11SHIM_CONTROL", (proxyd.path() / "control.sock").string()}}),
            0);
  EXPECT_EQ(out, "hsm0\nhsm1\n");
  signers.stop();
}

TEST_F(PoolAdmin, WhatTheOperatorWantsSurvivesARestart) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config());
  proxyd.start();
  EXPECT_EQ(tool(proxyd, {"member", "drain", "hsm0", "--reason", "new firmware"}), 0);
  EXPECT_EQ(data(proxyd, {"member", "weight", "hsm1", "7"})["weight"], 7);
  proxyd.signal(SIGKILL);
  proxyd.wait();
  proxyd.start();
  const json shown = data(proxyd, {"pool", "show", "pool"})["members"];
  EXPECT_EQ(shown[0]["administrative"]["state"], "drain");
  EXPECT_EQ(shown[0]["administrative"]["reason"], "new firmware");
  EXPECT_EQ(shown[1]["weight"], 7);
  EXPECT_EQ(tool(proxyd, {"member", "ready", "hsm0"}), 0);
  EXPECT_EQ(proxyd.stop(), 0);
  proxyd.start();
  EXPECT_EQ(data(proxyd, {"pool", "show", "pool"})["members"][0]["administrative"]["state"], "ready");
}

TEST_F(PoolAdmin, DiffNamesWhatMembersDoNotShare) {
  PoolMembers members(2);
  for (const std::size_t member : {0, 1})
    ASSERT_NO_FATAL_FAILURE(members.alone(member, [&](TestApplication& application, auto session) {
      application.generate_aes(session, true, "same name");
      if (member == 1) application.create_data(session, true, "only there", "x");
    }));
  PrivateProxyd proxyd(members.config("strategy = \"round-robin\""));
  proxyd.start();
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  const json without = data(proxyd, {"pool", "diff", "pool"}, 1);
  EXPECT_EQ(without["private_compared"], false);
  EXPECT_EQ(without["differences"].size(), 1u);  // the data object is public
  EXPECT_NE(err.find("--pin-from"), std::string::npos);
  const json found = drift(proxyd);
  EXPECT_EQ(found["result"], "FAIL");
  EXPECT_EQ(found["detail"], "pool: 1 difference: public objects, since nobody is logged in");
  EXPECT_NE(found["fix"].dump().find("pool diff"), std::string::npos) << found;
  const json diff = data(proxyd, {"--token", "pool", "--pin-from", "env:PIN", "pool", "diff", "pool"}, 1,
                         {{"PIN", compare::kUserPin}});
  EXPECT_EQ(diff["private_compared"], true);
  EXPECT_EQ(diff["compared"], (json{"hsm0", "hsm1"}));
  ASSERT_EQ(diff["differences"].size(), 3u) << diff.dump(1);
  const json& only = diff["differences"][0];
  EXPECT_EQ(only["class"], "CKO_DATA");
  EXPECT_EQ(only["members"], json{"hsm1"});
  EXPECT_EQ(only["missing"], json{"hsm0"});
  EXPECT_TRUE(only["conflict"].is_null());
  for (const std::size_t i : {1, 2}) {
    const json& key = diff["differences"][i];
    EXPECT_EQ(key["label"], "same name");
    EXPECT_EQ(key["class"], "CKO_SECRET_KEY");
    ASSERT_TRUE(key["conflict"].is_object());
    EXPECT_EQ(key["conflict"]["values"], "different");
    EXPECT_EQ(key["conflict"]["with"], json{diff["differences"][3 - i]["fingerprint"]});
  }
  EXPECT_EQ(tool(proxyd, {"pool", "diff", "nowhere"}), 7);
}

// A configuration of `count` members of `all`.
std::string config_of(const PoolMembers& all, std::size_t count) {
  std::string text = all.config(kQuick);
  const std::string list = "members = [";
  std::size_t end = text.find(list) + list.size();
  for (std::size_t i = 0; i < count; ++i) end = text.find('"', text.find('"', end) + 1) + 1;
  return text.substr(0, end) + text.substr(text.find(']', end));
}

TEST_F(PoolAdmin, MembersComeAndGoWithoutALostOperation) {
  PoolMembers members(3);
  PrivateProxyd proxyd(config_of(members, 2));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 8);
  ASSERT_TRUE(signers.goes_on());
  EXPECT_EQ(tool(proxyd, {"member", "add", "pool/hsm2"}), 7) << "the file does not have it";
  EXPECT_EQ(tool(proxyd, {"member", "remove", "hsm1", "--yes"}), 1) << "a pool needs two";
  proxyd.write_config(config_of(members, 3));
  EXPECT_EQ(data(proxyd, {"member", "add", "pool/hsm2", "--wait", "30"})["state"], "up");
  EXPECT_EQ(tool(proxyd, {"member", "add", "pool/hsm2"}), 1);
  ASSERT_TRUE(signers.goes_on());
  EXPECT_EQ(data(proxyd, {"--yes", "member", "remove", "hsm0", "--wait", "30"})["state"], "gone");
  EXPECT_EQ(data(proxyd, {"pool", "list"})["pools"][0]["members"], (json{"hsm1", "hsm2"}));
  ASSERT_TRUE(signers.goes_on());
  // A reload makes it what the file says.
  proxyd.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return is_up(proxyd, "hsm0"); }));
  proxyd.write_config(config_of(members, 2));
  proxyd.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return member_status(proxyd, "hsm2").is_null(); }));
  ASSERT_TRUE(signers.goes_on());
  signers.stop();
}

TEST_F(PoolAdmin, AReloadTakesNoTokenTwice) {
  PoolMembers members(3);
  PrivateProxyd proxyd(config_of(members, 2));
  proxyd.start();
  const auto conf = [&](std::size_t member) { return (members.directory(member) / "softhsm2.conf").string(); };
  const std::string link = (members.directory(2) / "other.conf").string();
  std::filesystem::create_symlink(conf(0), link);
  std::string config = config_of(members, 3);
  for (const auto& [what, by] :
       {std::pair{conf(2), link}, std::pair{members.rules(2).path().string(), members.rules(0).path().string()}})
    config.replace(config.find(what), what.size(), by);
  proxyd.write_config(config);
  proxyd.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return proxyd.log().find("member hsm2 is not added: ") != std::string::npos; }))
      << proxyd.log();
  EXPECT_NE(proxyd.log().find("is the same token as member \"hsm0\""), std::string::npos);
  EXPECT_TRUE(member_status(proxyd, "hsm2").is_null());
}

TEST_F(PoolAdmin, MaintenanceWaitsForWhatHasBegun) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"failover\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto generates = [&] {
    const json status = member_status(proxyd, "hsm0");
    for (const auto& worker : status["workers"])
      if (worker["domain"] == "user" && worker["busy_lanes"] != 0) return true;
    return false;
  };
  for (const bool now : {false, true}) {
    ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
    ASSERT_NE(application.one(session, CKO_SECRET_KEY, "aes"), 0u);
    members.rules(0).set("C_GenerateKey latency=2s");
    CK_RV rv = CKR_OK;
    std::thread generation([&] { application.generate_aes(session, true, "slow", true, &rv); });
    EXPECT_TRUE(eventually(generates));
    std::vector<std::string> words{"member", "maint", "hsm0", "--wait", "30"};
    if (now) words.emplace_back("--now");
    EXPECT_EQ(data(proxyd, words)["empties"], false);
    EXPECT_EQ(member_worker(proxyd, "hsm0"), 0);
    generation.join();
    EXPECT_EQ(rv, now ? CKR_DEVICE_ERROR : CKR_OK);
    members.rules(0).set("");
    EXPECT_EQ(tool(proxyd, {"member", "ready", "hsm0", "--wait", "30"}), 0) << err;
  }
}

TEST_F(PoolAdmin, AMemberThatLeavesTakesTheSecurityOfficersLoginWithIt) {
  PoolMembers members(3);
  PrivateProxyd proxyd(members.config(kQuick + ("admin = [\"" + me() + "\"]\n")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
  const pid_t removed = member_worker(proxyd, "hsm2", "so");
  ASSERT_GT(removed, 0);
  ASSERT_GT(member_worker(proxyd, "hsm1", "so"), 0);
  EXPECT_EQ(tool(proxyd, {"--yes", "member", "remove", "hsm2", "--force", "--wait", "30"}), 0) << err;
  EXPECT_TRUE(eventually([&] { return ::kill(removed, 0) != 0; }));
  EXPECT_EQ(tool(proxyd, {"member", "maint", "hsm1", "--wait", "30"}), 0) << err;
  for (const char* domain : {"so", "public"}) EXPECT_EQ(member_worker(proxyd, "hsm1", domain), 0) << domain;
  // It logs in again once all are back.
  EXPECT_EQ(tool(proxyd, {"member", "ready", "hsm1", "--wait", "30"}), 0) << err;
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  EXPECT_EQ(application.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
}

TEST_F(PoolAdmin, AMemberThatAloneHoldsAKeyIsNotRemovedUnasked) {
  PoolMembers members(3);
  ASSERT_NO_FATAL_FAILURE(members.alone(
      2, [](TestApplication& application, auto session) { application.generate_aes(session, true, "alone"); }));
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = application.one(session, CKO_SECRET_KEY, "alone");
  EXPECT_EQ(tool(proxyd, {"--yes", "member", "remove", "hsm2"}), 1);
  EXPECT_NE(err.find("alone"), std::string::npos) << err;
  // What has begun there ends first.
  CK_BYTE iv[16] = {3}, part[16] = {5}, result[32];
  CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
  CK_ULONG size = sizeof result;
  ASSERT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
  ASSERT_EQ(application->C_EncryptUpdate(session, part, sizeof part, result, &size), CKR_OK);
  EXPECT_EQ(tool(proxyd, {"--yes", "member", "remove", "hsm2", "--force", "--wait", "1"}), 10);
  size = sizeof result;
  EXPECT_EQ(application->C_EncryptFinal(session, result, &size), CKR_OK);
  EXPECT_TRUE(eventually([&] { return member_status(proxyd, "hsm2").is_null(); }));
  EXPECT_EQ(application.encrypt(session, key), CKR_KEY_HANDLE_INVALID);
  EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
}

}  // namespace
}  // namespace p11shim
