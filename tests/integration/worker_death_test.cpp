// A worker that dies costs its running calls and its session objects, and nothing else.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>

#include "application.h"
#include "pool_members.h"

namespace p11shim {
namespace {

TEST(WorkerDeath, CostsOnlyRunningCallsAndSessionObjects) {
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  PrivateProxyd proxyd(tokens.config());
  proxyd.start();
  TestApplication application(proxyd);
  TestApplication bystander(proxyd);
  const auto session = application.open();
  const auto second = application.open();
  const auto other = bystander.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = application.generate_aes(session, true, "key");
  const auto passing = application.generate_aes(session, false, "passing");
  const auto data = bystander.create_data(other, false, "public", "value");
  ASSERT_EQ(application.encrypt(session, key), CKR_OK);

  const pid_t worker = proxyd.worker_pid("user");
  std::atomic<bool> stop = false;
  std::atomic<int> good = 0;
  std::vector<CK_RV> failures;
  std::thread caller([&] {
    while (!stop) {
      const CK_RV rv = application.encrypt(second, key);
      if (rv == CKR_OK) ++good;
      else failures.push_back(rv);
    }
  });
  ASSERT_TRUE(eventually([&] { return good > 50; }));
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGKILL);
  const int before = good;
  EXPECT_TRUE(eventually([&] { return proxyd.worker_pid("user") != worker && good > before + 50; }));
  stop = true;
  caller.join();
  EXPECT_LE(failures.size(), 2u);  // the call that ran; the operation that it had begun
  for (const CK_RV rv : failures) EXPECT_EQ(rv, CKR_DEVICE_ERROR);

  EXPECT_EQ(application.encrypt(session, key), CKR_OK);  // without a new login
  EXPECT_EQ(application.one(session, CKO_SECRET_KEY, "key"), key);
  EXPECT_EQ(application.encrypt(session, passing), CKR_OBJECT_HANDLE_INVALID);
  EXPECT_EQ(application->C_DestroyObject(session, passing), CKR_OBJECT_HANDLE_INVALID);
  CK_ULONG size = 0;
  EXPECT_EQ(bystander->C_GetObjectSize(other, data, &size), CKR_OK);
}

// Modules that are killed while they write may lose more than the object that they are at.
TEST(WorkerDeath, CallsThatRunWhenProxydIsKilledAreDoneBeforeTheNextOneServes) {
  if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  PoolMembers members(1);
  PrivateProxyd proxyd(members.config());
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  const auto session = application->open();
  const std::filesystem::path goes_on = members.directory(0) / "goes-on";
  members.rules(0).set("C_CreateObject hang=" + goes_on.string());
  std::thread creating([&] {
    CK_OBJECT_CLASS object_class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    char text[] = "late";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_TOKEN, &yes, sizeof yes},
                           {CKA_PRIVATE, &no, sizeof no},
                           {CKA_LABEL, text, 4},
                           {CKA_VALUE, text, 4}};
    CK_OBJECT_HANDLE object = 0;
    EXPECT_NE((*application)->C_CreateObject(session, tmpl, std::size(tmpl), &object), CKR_OK);
  });
  // The rule was asked about: the call is in the module.
  EXPECT_TRUE(eventually([&] {
    char first = 0;
    std::ifstream(members.rules(0).path().string() + ".state", std::ios::binary).get(first);
    return first == 1;
  }));
  proxyd.signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return !proxyd.alive(); }));
  std::thread going_on([&] { std::ofstream(goes_on).put('\n'); });
  proxyd.wait();
  proxyd.start();
  going_on.join();
  creating.join();
  application.reset();
  TestApplication later(proxyd);
  EXPECT_EQ(later.find(later.open(), CKO_DATA, "late").size(), 1u);
}

TEST(WorkerDeath, CrashingModuleDoesNotTakeProxydDown) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  mock.rules.set("C_GenerateRandom crash=segv");
  CK_BYTE random[16];
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_DEVICE_ERROR);
  mock.rules.set("C_Initialize crash=abort");
  EXPECT_TRUE(eventually([&] { return application->C_GenerateRandom(session, random, sizeof random) != CKR_OK; }));
  mock.rules.set("");
  EXPECT_TRUE(eventually([&] { return application->C_GenerateRandom(session, random, sizeof random) == CKR_OK; }));
  EXPECT_GE(proxyd.worker("public")["restarts"], 8);
}

// The call under way says so, and nothing of it is left for the next operation.
TEST(WorkerDeath, CallThatWasRunningTakesItsOperationWithIt) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  CK_MECHANISM sha256{CKM_SHA256, nullptr, 0};
  CK_BYTE data[16] = {}, out[64];
  CK_ULONG length = sizeof out;
  const auto digest = [&] {
    if (const CK_RV rv = application->C_DigestInit(session, &sha256); rv != CKR_OK) return rv;
    return application->C_Digest(session, data, sizeof data, out, &(length = sizeof out));
  };
  ASSERT_EQ(digest(), CKR_OK);
  mock.rules.set("C_Digest crash=exit times=1");
  EXPECT_EQ(digest(), CKR_DEVICE_ERROR);
  mock.rules.set("");
  EXPECT_EQ(digest(), CKR_OK);
  EXPECT_EQ(digest(), CKR_OK);
}

TEST(WorkerDeath, BetweenTwoCallsTheSecondSaysSoOnce) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  CK_MECHANISM sha256{CKM_SHA256, nullptr, 0};
  CK_BYTE data[16] = {}, out[64];
  CK_ULONG length = sizeof out;
  ASSERT_EQ(application->C_DigestInit(session, &sha256), CKR_OK);
  const pid_t worker = proxyd.worker_pid("public");
  proxyd.kill_worker("public");
  ASSERT_TRUE(eventually([&] { return proxyd.worker_pid("public") != worker; }));
  EXPECT_EQ(application->C_Digest(session, data, sizeof data, out, &length), CKR_DEVICE_ERROR);
  EXPECT_EQ(application->C_Digest(session, data, sizeof data, out, &length), CKR_OPERATION_NOT_INITIALIZED);
  EXPECT_EQ(application->C_DigestInit(session, &sha256), CKR_OK);
  EXPECT_EQ(application->C_Digest(session, data, sizeof data, out, &(length = sizeof out)), CKR_OK);
}

// The worker dies again while it is being logged in again: no login is lost.
TEST(WorkerDeath, TroubleDuringTheNewLoginIsTriedAgain) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  for (const char* trouble :
       {"C_Login crash=exit times=1", "C_Login rv=CKR_GENERAL_ERROR times=1", "C_OpenSession crash=exit times=1"}) {
    mock.rules.set(trouble);
    proxyd.kill_worker("user");
    CK_SESSION_INFO info{};
    CK_BYTE random[16];
    EXPECT_TRUE(eventually([&] { return application->C_GenerateRandom(session, random, sizeof random) == CKR_OK; }))
        << trouble;
    EXPECT_EQ(application->C_GetSessionInfo(session, &info), CKR_OK);
    EXPECT_EQ(info.state, CKS_RW_USER_FUNCTIONS) << trouble;
  }
}

// A PIN that was accepted and is refused now is never offered again: the HSM counts.
TEST(WorkerDeath, RefusedPinEndsTheLogin) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  mock.rules.set(mock.rules.record_directive() + "C_Login rv=CKR_PIN_INCORRECT");
  proxyd.kill_worker("user");
  CK_SESSION_INFO info{};
  EXPECT_TRUE(eventually([&] {
    CK_BYTE random[16];
    application->C_GenerateRandom(session, random, sizeof random);
    return application->C_GetSessionInfo(session, &info) == CKR_OK && info.state == CKS_RW_PUBLIC_SESSION;
  }));
  CK_BYTE random[16];
  EXPECT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_OK);
  const std::string calls = mock.rules.recorded();
  const auto first = calls.find(" C_Login ");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(calls.find(" C_Login ", first + 1), std::string::npos);
}

}  // namespace
}  // namespace p11shim
