// Pools of several members, as an application and an operator see them.
#include <gtest/gtest.h>
#include <signal.h>

#include "signers.h"

namespace p11shim {
namespace {

class Pools : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  }
};

TEST_F(Pools, ShowAKeyOfAllMembersOnce) {
  PoolMembers members(3);
  PrivateProxyd proxyd(members.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  EXPECT_TRUE(application.find(session, CKO_PRIVATE_KEY).empty());
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(application.find(session, CKO_PUBLIC_KEY, "ec").size(), 1u);
  const auto keys = application.find(session, CKO_PRIVATE_KEY, "ec");
  const auto secrets = application.find(session, CKO_SECRET_KEY, "aes");
  ASSERT_EQ(keys.size(), 1u);
  ASSERT_EQ(secrets.size(), 1u);  // the check proves that all have the same
  for (int i = 0; i < 10; ++i) EXPECT_EQ(application.encrypt(session, secrets[0]), CKR_OK);
  // The same handles for another application, and after a restart.
  proxyd.restart();
  TestApplication later(proxyd);
  const auto other = later.open();
  ASSERT_EQ(later.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(later.find(other, CKO_PRIVATE_KEY, "ec"), keys);
  EXPECT_EQ(later.find(other, CKO_SECRET_KEY, "aes"), secrets);
}

TEST_F(Pools, TwoKeysOfOneNameStayTwo) {
  PoolMembers members(2);
  for (const std::size_t member : {0, 1})
    ASSERT_NO_FATAL_FAILURE(members.alone(member, [](TestApplication& application, auto session) {
      application.generate_aes(session, true, "same name");
    }));
  PrivateProxyd proxyd(members.config("strategy = \"round-robin\""));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto keys = application.find(session, CKO_SECRET_KEY, "same name");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_NE(keys[0], keys[1]);
  CK_BYTE results[2][10][16];
  for (const std::size_t key : {0, 1})
    for (auto& result : results[key]) {
      CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
      CK_BYTE plain[16] = {7};
      CK_ULONG size = sizeof result;
      ASSERT_EQ(application->C_EncryptInit(session, &mechanism, keys[key]), CKR_OK);
      ASSERT_EQ(application->C_Encrypt(session, plain, sizeof plain, result, &size), CKR_OK);
      EXPECT_EQ(std::memcmp(result, results[key][0], sizeof result), 0);
    }
  EXPECT_NE(std::memcmp(results[0][0], results[1][0], 16), 0);
}

TEST_F(Pools, TokenLooksTheSameWhateverMembersDo) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  CK_TOKEN_INFO before{}, after{};
  CK_ULONG count_before = 0, count_after = 0;
  ASSERT_EQ(application->C_GetTokenInfo(0, &before), CKR_OK);
  ASSERT_EQ(application->C_GetMechanismList(0, nullptr, &count_before), CKR_OK);
  EXPECT_GT(count_before, 20u);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(before.label), 4), "pool");
  CK_MECHANISM_INFO info{};
  EXPECT_EQ(application->C_GetMechanismInfo(0, CKM_ECDSA, &info), CKR_OK);
  EXPECT_EQ(application->C_GetMechanismInfo(0, CKM_VENDOR_DEFINED, &info), CKR_MECHANISM_INVALID);
  members.rules(0).set("C_Initialize rv=CKR_DEVICE_ERROR");
  const pid_t worker = member_worker(proxyd, "hsm0", "public");
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGKILL);
  ASSERT_EQ(application->C_GetTokenInfo(0, &after), CKR_OK);
  ASSERT_EQ(application->C_GetMechanismList(0, nullptr, &count_after), CKR_OK);
  EXPECT_EQ(std::memcmp(&before, &after, sizeof before), 0);
  EXPECT_EQ(count_before, count_after);
}

TEST_F(Pools, KilledWorkersCostNoSignature) {
  PoolMembers members(3);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 8);
  ASSERT_TRUE(signers.goes_on());
  for (const char* name : {"hsm0", "hsm1", "hsm2", "hsm0"}) {
    pid_t worker = 0;
    ASSERT_TRUE(eventually([&] { return is_up(proxyd, name) && (worker = member_worker(proxyd, name)) > 0; }));
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(signers.goes_on());
  }
  signers.stop();
}

TEST_F(Pools, HungWorkersCostNoSignature) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 8);
  ASSERT_TRUE(signers.goes_on());
  const pid_t worker = member_worker(proxyd, "hsm1");
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return !is_up(proxyd, "hsm1") || member_worker(proxyd, "hsm1") != worker; }));
  ASSERT_TRUE(signers.goes_on(200));
  if (member_worker(proxyd, "hsm1") == worker) ::kill(worker, SIGCONT);
  EXPECT_TRUE(eventually([&] { return is_up(proxyd, "hsm1"); }));
  ASSERT_TRUE(signers.goes_on());
  signers.stop();
}

TEST_F(Pools, FaultsOfAMemberAreNotTheApplications) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 8);
  ASSERT_TRUE(signers.goes_on());
  members.rules(0).set("C_Sign|C_SignInit rv=CKR_DEVICE_ERROR probability=0.1");
  ASSERT_TRUE(signers.goes_on(500));
  members.rules(0).set("C_Sign|C_SignInit rv=CKR_DEVICE_ERROR");
  EXPECT_TRUE(eventually([&] { return !is_up(proxyd, "hsm0"); }));
  ASSERT_TRUE(signers.goes_on(500));
  members.rules(0).set("");
  EXPECT_TRUE(eventually([&] { return is_up(proxyd, "hsm0"); }));  // by itself
  ASSERT_TRUE(signers.goes_on());
  signers.stop();
}

TEST_F(Pools, OperationsOutliveTheirMember) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"failover\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && member_worker(proxyd, "hsm1") > 0; }));
  CK_BYTE iv[16] = {3}, part[32] = {5}, expected[96], actual[96];
  CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
  for (CK_BYTE* result : {expected, actual}) {
    ASSERT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
    for (int i = 0; i < 3; ++i) {
      CK_ULONG size = sizeof part;
      const pid_t worker = i == 2 && result == actual ? member_worker(proxyd, "hsm0") : 0;
      if (worker > 0) ::kill(worker, SIGKILL);
      ASSERT_EQ(application->C_EncryptUpdate(session, part, sizeof part, result + 32 * i, &size), CKR_OK);
    }
    CK_ULONG size = 0;
    ASSERT_EQ(application->C_EncryptFinal(session, nullptr, &size), CKR_OK);
    ASSERT_EQ(application->C_EncryptFinal(session, result, &size), CKR_OK);
  }
  EXPECT_EQ(std::memcmp(expected, actual, sizeof expected), 0);
}

TEST_F(Pools, AMemberThatRefusesThePinIsNotAskedAgain) {
  PoolMembers members(2);
  ASSERT_NO_FATAL_FAILURE(members.alone(1, [](TestApplication& application, auto session) {
    ASSERT_EQ(application.set_pin(session, compare::kUserPin, "another-pin"), CKR_OK);
  }));
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  for (int run = 0; run < 2; ++run) {
    TestApplication application(proxyd);
    const auto session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    EXPECT_TRUE(eventually(
        [&] { return member_status(proxyd, "hsm1")["reason"].get<std::string>().starts_with("it refused the PIN"); }));
    const auto key = application.one(session, CKO_SECRET_KEY, "aes");
    EXPECT_EQ(application.encrypt(session, key), CKR_OK);
    if (run == 0) members.rules(1).set("C_Login crash=abort");  // it would be seen
    if (run == 0) proxyd.restart();
  }
  EXPECT_EQ(member_worker(proxyd, "hsm1"), 0);  // no worker was started to log in
  TestApplication wrong(proxyd);
  EXPECT_EQ(wrong.log_in(wrong.open(), "wrong"), CKR_PIN_INCORRECT);
}

TEST_F(Pools, DestroyedAndChangedEverywhere) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  ASSERT_EQ(application.set_label(session, key, "renamed"), CKR_OK);
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY, "aes").empty());
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "renamed"), std::vector{key});
  ASSERT_EQ(application->C_DestroyObject(session, key), CKR_OK);
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  EXPECT_EQ(application.encrypt(session, key), CKR_OBJECT_HANDLE_INVALID);  // SoftHSM's own answer
  // What is made lives on one member and is found and used there.
  const auto fresh = application.generate_aes(session, true, "fresh");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(application.encrypt(session, fresh), CKR_OK);
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY), std::vector{fresh});
  const auto passing = application.generate_aes(session, false, "passing");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(application.encrypt(session, passing), CKR_OK);
}

TEST_F(Pools, DrainedMembersGetNothingNewAndMaintainedOnesStop) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 4);
  ASSERT_TRUE(signers.goes_on());
  const auto say = [&](const std::string& action, const std::string& member) {
    return proxyd.ask("{\"command\":\"member\",\"arguments\":{\"member\":\"" + member + "\",\"action\":\"" + action +
                      "\"}}");
  };
  EXPECT_EQ(say("drain", "hsm0")["result"]["state"], "draining");
  EXPECT_TRUE(eventually(
      [&] { return proxyd.ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][0]["outstanding"] == 0; }));
  ASSERT_TRUE(signers.goes_on());
  EXPECT_EQ(say("ready", "hsm0")["result"]["administrative"]["state"], "ready");
  EXPECT_EQ(say("maint", "hsm1")["result"]["state"], "maintenance");
  ASSERT_TRUE(signers.goes_on());
  EXPECT_TRUE(eventually([&] { return member_worker(proxyd, "hsm1") == 0; }));
  EXPECT_EQ(say("ready", "hsm1")["ok"], true);
  EXPECT_TRUE(eventually([&] { return is_up(proxyd, "hsm1") && member_worker(proxyd, "hsm1") > 0; }));
  EXPECT_EQ(say("dance", "hsm1")["error"]["code"], "unknown_action");
  EXPECT_EQ(say("drain", "hsm9")["error"]["code"], "unknown_member");
  ASSERT_TRUE(signers.goes_on());
  signers.stop();
}

TEST_F(Pools, WithoutAnyMemberCallsWaitForTheirDeadline) {
  PoolMembers members(2);
  PrivateProxyd proxyd("[limits]\ndeadline = \"1s\"\n" + members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  CK_BYTE random[16];
  ASSERT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_OK);
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_Initialize rv=CKR_DEVICE_ERROR");
  for (const char* name : {"hsm0", "hsm1"}) {
    const pid_t worker = member_worker(proxyd, name, "public");
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);
  }
  EXPECT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_DEVICE_ERROR);
  EXPECT_EQ(application.slots().size(), 1u);
  members.rules(1).set("");
  EXPECT_TRUE(eventually([&] { return application->C_GenerateRandom(session, random, sizeof random) == CKR_OK; }));
  CK_SESSION_INFO info{};
  EXPECT_EQ(application->C_GetSessionInfo(session, &info), CKR_OK);
}

}  // namespace
}  // namespace p11shim
