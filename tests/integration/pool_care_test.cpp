// What a pool does by itself: probes, hung workers, a token that comes and goes, members of several kinds and bad ones.
#include <signal.h>

#include <set>

#include "mixed_members.h"
#include "signers.h"
#include "tests/places.h"

namespace p11shim {
namespace {

class PoolCare : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  }
};

std::string probing(const std::string& probe) {
  return "breaker = { failures = 1, open_min = \"50ms\", open_max = \"100ms\" }\nprobe = { interval = \"100ms\", "
         "timeout = \"200ms\", " +
         probe + " }\n";
}

// A logged-in session, and hsm0 ejected by its probes alone.
void fail_probes(PoolMembers& members, const PrivateProxyd& proxyd, const TestApplication& application,
                 CK_SESSION_HANDLE& session) {
  session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  members.rules(0).set("C_GenerateRandom rv=CKR_DEVICE_ERROR");
  ASSERT_TRUE(eventually([&] { return !is_up(proxyd, "hsm0"); }));
}

TEST_F(PoolCare, SoftHsmAndNssShareImportedKeys) {
  if (!MixedMembers::installed()) GTEST_SKIP() << "NSS is not installed";
  MixedMembers members;
  PrivateProxyd proxyd(members.config("strategy = \"round-robin\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  Signers signers(application, 4);
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "soft") && is_up(proxyd, "nss"); }));
  EXPECT_EQ(application.find(signers.session(), CKO_PRIVATE_KEY, "ec").size(), 1u);
  const auto keys = application.find(signers.session(), CKO_PRIVATE_KEY, "rsa");
  ASSERT_EQ(keys.size(), 1u);
  ASSERT_TRUE(signers.goes_on(200));
  const auto stats = proxyd.ask("{\"command\":\"stats\"}")["result"]["members"];
  std::set<std::string> signed_there;
  for (const auto& member : stats)
    if (member["functions"].contains("C_Sign")) signed_there.insert(member["member"]);
  EXPECT_EQ(signed_there, (std::set<std::string>{"nss", "soft"}));
  // The same key gives the same PKCS #1 signature, whoever makes it.
  Bytes expected;
  for (int i = 0; i < 6; ++i) {
    if (i % 3 == 2) ::kill(member_worker(proxyd, i == 2 ? "nss" : "soft"), SIGKILL);
    CK_MECHANISM mechanism{CKM_SHA256_RSA_PKCS, nullptr, 0};
    CK_BYTE data[] = {1, 2, 3}, signature[256];
    CK_ULONG size = sizeof signature;
    ASSERT_EQ(application->C_SignInit(signers.session(), &mechanism, keys[0]), CKR_OK);
    ASSERT_EQ(application->C_Sign(signers.session(), data, sizeof data, signature, &size), CKR_OK);
    const Bytes result(signature, signature + size);
    if (i == 0) expected = result;
    EXPECT_EQ(result, expected);
    ASSERT_TRUE(eventually([&] { return is_up(proxyd, "soft") && is_up(proxyd, "nss"); }));
  }
  signers.stop();
}

TEST_F(PoolCare, AProbeByRandomBytesEjectsAMemberThatNobodyUses) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(probing("call = \"C_GenerateRandom\"")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(fail_probes(members, proxyd, application, session));
  EXPECT_TRUE(is_up(proxyd, "hsm1"));
  members.rules(0).set("");
  EXPECT_TRUE(eventually([&] {
    CK_BYTE random[4];
    return application->C_GenerateRandom(session, random, sizeof random) == CKR_OK && is_up(proxyd, "hsm0");
  }));
}

TEST_F(PoolCare, AMemberThatNobodyCallsReturnsByItself) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(probing("call = \"C_GenerateRandom\"")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(fail_probes(members, proxyd, application, session));
  members.rules(0).set("");
  EXPECT_TRUE(eventually([&] { return is_up(proxyd, "hsm0"); }));
}

TEST_F(PoolCare, AProbeMaySignWithAKeyOfItsOwn) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(probing("call = \"C_Sign\", key = \"ec\"")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_EQ(application.find(session, CKO_PRIVATE_KEY, "ec").size(), 1u);
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  members.rules(1).set("C_Sign rv=CKR_DEVICE_ERROR");
  EXPECT_TRUE(eventually([&] { return !is_up(proxyd, "hsm1"); }));
  EXPECT_TRUE(is_up(proxyd, "hsm0"));
}

TEST_F(PoolCare, AHungWorkerThatNobodyUsesIsReplaced) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(probing("hung = \"300ms\"")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  const pid_t worker = member_worker(proxyd, "hsm1");
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return !is_up(proxyd, "hsm1"); }));
  EXPECT_TRUE(eventually([&] {
    const pid_t now = member_worker(proxyd, "hsm1");
    return now > 0 && now != worker;
  }));
  EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
}

TEST_F(PoolCare, ARemovableTokenGoesWithItsLastMemberAndComesBack) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("removable = true\n")));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  const auto with_token = [&] {
    CK_ULONG count = 0;
    EXPECT_EQ(application->C_GetSlotList(CK_TRUE, nullptr, &count), CKR_OK);
    return count;
  };
  CK_SLOT_INFO info{};
  CK_BYTE random[16];
  ASSERT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_OK);
  ASSERT_EQ(application->C_GetSlotInfo(0, &info), CKR_OK);
  EXPECT_EQ(info.flags & (CKF_REMOVABLE_DEVICE | CKF_TOKEN_PRESENT),
            static_cast<CK_FLAGS>(CKF_REMOVABLE_DEVICE | CKF_TOKEN_PRESENT));
  EXPECT_EQ(with_token(), 1u);
  CK_SLOT_ID slot = 99;
  EXPECT_EQ(application->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, nullptr), CKR_NO_EVENT);
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_Initialize rv=CKR_DEVICE_ERROR");
  for (const char* name : {"hsm0", "hsm1"}) ::kill(member_worker(proxyd, name, "public"), SIGKILL);
  EXPECT_TRUE(eventually([&] { return with_token() == 0; }));
  EXPECT_EQ(application.slots().size(), 1u);
  CK_TOKEN_INFO token{};
  EXPECT_EQ(application->C_GetTokenInfo(0, &token), CKR_TOKEN_NOT_PRESENT);
  EXPECT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_DEVICE_REMOVED);
  for (const CK_USER_TYPE user : {CKU_USER, CKU_SO})
    EXPECT_EQ(application.log_in(session, compare::kUserPin, user), CKR_DEVICE_REMOVED);
  EXPECT_EQ(application->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, nullptr), CKR_OK);
  EXPECT_EQ(slot, 0u);
  EXPECT_EQ(application->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, nullptr), CKR_NO_EVENT);
  std::thread mended([&] {
    for (const std::size_t member : {0, 1}) members.rules(member).set("");
  });
  EXPECT_EQ(application->C_WaitForSlotEvent(0, &slot, nullptr), CKR_OK);
  mended.join();
  EXPECT_TRUE(eventually([&] { return application->C_GenerateRandom(session, random, sizeof random) == CKR_OK; }));
  EXPECT_EQ(with_token(), 1u);
}

TEST_F(PoolCare, AMemberIsGivenNoMoreTimeThanItsMaxCall) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(
      "strategy = \"failover\"\nattempt_timeout = \"1m\"\nprobe = { call = \"none\" }\n", "max_call = \"300ms\""));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return is_up(proxyd, "hsm0") && is_up(proxyd, "hsm1"); }));
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  const auto never = (members.directory(0) / "never").string();
  members.rules(0).set("C_GenerateKey|C_Encrypt hang=" + never);
  // What cannot be repeated ends, what can goes elsewhere.
  CK_RV rv = CKR_OK;
  application.generate_aes(session, true, "slow", true, &rv);
  EXPECT_EQ(rv, CKR_DEVICE_ERROR);
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
}

TEST_F(PoolCare, BadMembersAreNamed) {
  PoolMembers members(2);
  std::string config = members.config(kQuick);
  PrivateProxyd proxyd(config + "\n");
  proxyd.start();
  const auto problems = [&] { return proxyd.ask("{\"command\":\"pools\"}")["result"]["pools"][0]["problems"].dump(); };
  // The copies of one SoftHSM token have its serial number.
  EXPECT_NE(problems().find("member hsm0 and member hsm1 show the same serial number"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return proxyd.log().find("show the same serial number") != std::string::npos; }));
  Process check({build_dir() + "/bin/proxyd", "--check", "--config", proxyd.config_file()});
  check.wait();
  EXPECT_NE(check.err.find("warning: pool pool: member hsm0 and member hsm1 show the same serial number"),
            std::string::npos)
      << check.err;
  const std::string right = "token_label = \"first\"";
  config.replace(config.rfind(right), right.size(), "token_label = \"absent\"");
  proxyd.write_config(config);
  proxyd.restart();
  EXPECT_TRUE(eventually([&] { return problems().find("member hsm1 has no such token") != std::string::npos; }))
      << problems();
}

}  // namespace
}  // namespace p11shim
