// Ten thousand virtual sessions live on a handful of real ones, and no error uses those up.
#include <gtest/gtest.h>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

constexpr char kFewSessions[] = "sessions_ro = 2\nsessions_rw = 3";

TEST(RealSessions, TenThousandVirtualSessionsLiveOnAHandful) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config(kFewSessions));
  proxyd.start();
  TestApplication application(proxyd);
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 10'000; ++i) {
    CK_SESSION_HANDLE session = 0;
    ASSERT_EQ(application->C_OpenSession(0, CKF_SERIAL_SESSION | (i % 2 == 0 ? CKF_RW_SESSION : 0), nullptr, nullptr, &session), CKR_OK);
    sessions.push_back(session);
  }
  CK_BYTE random[8];
  for (std::size_t i = 0; i < sessions.size(); i += 100) ASSERT_EQ(application->C_GenerateRandom(sessions[i], random, sizeof random), CKR_OK);
  EXPECT_EQ(proxyd.status()["pools"][0]["virtual_sessions"], 10'000);
  EXPECT_LE(proxyd.worker("public")["real_sessions"], 5);
  EXPECT_EQ(application->C_CloseAllSessions(0), CKR_OK);
  EXPECT_EQ(proxyd.status()["pools"][0]["virtual_sessions"], 0);
}

TEST(RealSessions, FailedOperationsInAThousandSessionsDoNotUseThemUp) {
  if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  PrivateProxyd proxyd(tokens.config(kFewSessions));
  proxyd.start();
  TestApplication application(proxyd);
  const auto first = application.open();
  ASSERT_EQ(application.log_in(first, compare::kUserPin), CKR_OK);
  const auto key = application.generate_aes(first, true, "key");
  CK_MECHANISM pad{CKM_AES_CBC_PAD, nullptr, 0};
  CK_BYTE iv[16] = {}, data[17] = {}, out[64];
  pad.pParameter = iv;
  pad.ulParameterLen = sizeof iv;
  CK_MECHANISM wrong{CKM_VENDOR_DEFINED + 77, nullptr, 0};
  for (int i = 0; i < 1000; ++i) {
    const auto session = application.open(i % 2 == 0);
    CK_ULONG length = sizeof out;
    ASSERT_EQ(application->C_DecryptInit(session, &pad, key), CKR_OK) << i;
    ASSERT_NE(application->C_Decrypt(session, data, sizeof data, out, &length), CKR_OK) << i;
    ASSERT_NE(application->C_EncryptInit(session, &wrong, key), CKR_OK) << i;
    ASSERT_EQ(application->C_DecryptFinal(session, out, &length), CKR_OPERATION_NOT_INITIALIZED) << i;
  }
  EXPECT_EQ(application.encrypt(first, key), CKR_OK);
  EXPECT_LE(proxyd.worker("user")["real_sessions"], 6);
}

// The module allows fewer sessions than are configured: calls wait for one, and it is not asked over and over.
TEST(RealSessions, ModuleWithFewerSessionsThanConfiguredIsEnough) {
  MockModule mock;
  mock.rules.set("module sessions=2\nC_Digest latency=20ms");
  PrivateProxyd proxyd(mock.config("lanes = 8\nsessions_rw = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 8; ++i) sessions.push_back(application.open());
  mock.rules.set(mock.rules.record_directive() + "module sessions=2\nC_Digest latency=20ms");
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (const CK_SESSION_HANDLE session : sessions)
    threads.emplace_back([&, session] {
      for (int i = 0; i < 5; ++i) {
        CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
        CK_BYTE data[1] = {}, out[64];
        CK_ULONG length = sizeof out;
        good += application->C_DigestInit(session, &mechanism) == CKR_OK && application->C_Digest(session, data, 1, out, &length) == CKR_OK;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 40);
  const std::string calls = mock.rules.recorded();
  std::size_t opened = 0;
  for (std::size_t at = 0; (at = calls.find(" C_OpenSession ", at)) != std::string::npos; ++at) ++opened;
  EXPECT_LE(opened, 10u);
}

// A real session that owns a session object outlives a failed operation, and is not lost when the object goes.
TEST(RealSessions, SessionSetAsideForItsObjectsComesBackWhenTheyGo) {
  MockModule mock;
  mock.rules.set("module version=2.40");
  PrivateProxyd proxyd(mock.config("sessions_rw = 1"));
  proxyd.start();
  TestApplication application(proxyd);
  for (int i = 0; i < 5; ++i) {
    const auto session = application.open();
    const auto object = application.create_data(session, false, "own", "value");
    CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
    ASSERT_EQ(application->C_DigestInit(session, &mechanism), CKR_OK);
    EXPECT_EQ(application->C_DestroyObject(session, object), CKR_OK);
    EXPECT_EQ(application->C_CloseSession(session), CKR_OK);  // with an operation under way
  }
  const auto session = application.open();
  CK_BYTE random[8];
  EXPECT_EQ(application->C_GenerateRandom(session, random, sizeof random), CKR_OK);
}

}  // namespace
}  // namespace p11shim
