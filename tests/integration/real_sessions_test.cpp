// Ten thousand virtual sessions live on a handful of real ones, and no error uses those up.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

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
    ASSERT_EQ(application->C_OpenSession(0, CKF_SERIAL_SESSION | (i % 2 == 0 ? CKF_RW_SESSION : 0), nullptr, nullptr,
                                         &session),
              CKR_OK);
    sessions.push_back(session);
  }
  CK_BYTE random[8];
  for (std::size_t i = 0; i < sessions.size(); i += 100)
    ASSERT_EQ(application->C_GenerateRandom(sessions[i], random, sizeof random), CKR_OK);
  EXPECT_EQ(proxyd.status()["pools"][0]["virtual_sessions"], 10'000);
  EXPECT_LE(proxyd.worker("public")["real_sessions"], 5);
  EXPECT_EQ(application->C_CloseAllSessions(0), CKR_OK);
  EXPECT_EQ(proxyd.status()["pools"][0]["virtual_sessions"], 0);
}

// One application calls with 16 threads, another with one: they take turns.
TEST(RealSessions, AGreedyApplicationDoesNotStarveAnother) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("lanes = 1\nsessions_rw = 2"));
  proxyd.start();
  TestApplication greedy(proxyd), modest(proxyd);
  mock.rules.set("C_GenerateRandom latency=2ms");
  constexpr int kGreedy = 16, kCalls = 40;
  const auto random = [](const TestApplication& application, CK_SESSION_HANDLE session) {
    CK_BYTE bytes[8];
    return application->C_GenerateRandom(session, bytes, sizeof bytes);
  };
  std::atomic<bool> stop = false;
  std::atomic<int> of_greedy = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kGreedy; ++i)
    threads.emplace_back([&] {
      const CK_SESSION_HANDLE session = greedy.open();
      while (!stop) {
        EXPECT_EQ(random(greedy, session), CKR_OK);
        ++of_greedy;
      }
    });
  const CK_SESSION_HANDLE session = modest.open();
  EXPECT_TRUE(eventually([&] { return of_greedy > 3 * kGreedy; }));
  const int before = of_greedy;
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(random(modest, session), CKR_OK);
  const int meanwhile = of_greedy - before;
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(meanwhile, 5 * kCalls) << "first come, first served would let each of its threads go first";
}

// Unfinished operations keep their real sessions, so that all of them go on at once; what they wait for is the lane. Seen in
// the order in which the module was called.
TEST(RealSessions, OneCallDoesNotWaitInLineForAllCallsOfAnotherApplication) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("lanes = 1"));
  proxyd.start();
  TestApplication greedy(proxyd), modest(proxyd);
  constexpr std::uint32_t kGreedy = 64;
  std::vector<CK_BYTE> data(200'000);  // too much to be kept back
  const auto begin = [&](const TestApplication& application) {
    const CK_SESSION_HANDLE session = application.open();
    CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
    EXPECT_EQ(application->C_DigestInit(session, &sha), CKR_OK);
    EXPECT_EQ(application->C_DigestUpdate(session, data.data(), data.size()), CKR_OK);
    return session;
  };
  std::vector<CK_SESSION_HANDLE> sessions;
  for (std::uint32_t i = 0; i < kGreedy; ++i) sessions.push_back(begin(greedy));
  const CK_SESSION_HANDLE session = begin(modest);
  const auto go = mock.file("go");
  mock.rules.set(mock.rules.record_directive() + "C_DigestFinal hang=" + go.string());
  std::vector<std::thread> threads;
  for (const CK_SESSION_HANDLE each : sessions)
    threads.emplace_back([&, each] {
      CK_BYTE digest[32];
      CK_ULONG length = sizeof digest;
      EXPECT_EQ(greedy->C_DigestFinal(each, digest, &length), CKR_OK);
    });
  const auto waiting = [&] { return proxyd.worker("public")["queued"].get<std::uint32_t>(); };
  EXPECT_TRUE(eventually([&] { return waiting() == kGreedy - 1; })) << waiting();
  threads.emplace_back([&] { EXPECT_EQ(modest->C_DigestUpdate(session, data.data(), data.size()), CKR_OK); });
  EXPECT_TRUE(eventually([&] { return waiting() == kGreedy; })) << waiting();
  std::ofstream(go).flush();
  for (std::thread& thread : threads) thread.join();
  const std::string calls = mock.rules.recorded();
  const std::size_t of_modest = calls.find(" C_DigestUpdate ");
  ASSERT_NE(of_modest, std::string::npos);
  int before = 0;
  for (std::size_t at = 0; (at = calls.find(" C_DigestFinal ", at)) < of_modest; ++at) ++before;
  EXPECT_LE(before, 3);
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

// A worker that has no memory for the answer says the same as a module that has none: what was begun may be active.
TEST(RealSessions, SessionOfACallWithoutMemoryIsNotLentAgain) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config(kFewSessions));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
  CK_BYTE digest[32];
  const auto closed = [&] { return mock.rules.recorded().find(" C_CloseSession ") != std::string::npos; };
  mock.rules.set(mock.rules.record_directive());
  EXPECT_EQ(application->C_DigestInit(session, &sha), CKR_OK);
  CK_ULONG length = sizeof digest;
  EXPECT_EQ(application->C_Digest(session, digest, 1, digest, &length), CKR_OK);
  EXPECT_FALSE(closed());
  mock.rules.set(mock.rules.record_directive() + "C_DigestInit rv=CKR_HOST_MEMORY times=1");
  // The first answer to such an Init is known: it waits, and is executed with the call that uses it.
  EXPECT_EQ(application->C_DigestInit(session, &sha), CKR_OK);
  length = sizeof digest;
  EXPECT_EQ(application->C_Digest(session, digest, 1, digest, &length), CKR_HOST_MEMORY);
  EXPECT_TRUE(eventually(closed));
  EXPECT_EQ(application->C_DigestInit(session, &sha), CKR_OK);
  length = sizeof digest;
  EXPECT_EQ(application->C_Digest(session, digest, 1, digest, &length), CKR_OK);
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
        good += application->C_DigestInit(session, &mechanism) == CKR_OK &&
                application->C_Digest(session, data, 1, out, &length) == CKR_OK;
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

CK_RV begin_digest(const TestApplication& application, CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE byte = 0;
  // An Init alone may wait in the shim.
  if (const CK_RV rv = application->C_DigestInit(session, &mechanism); rv != CKR_OK) return rv;
  return application->C_DigestUpdate(session, &byte, 1);
}
CK_RV take_random(const TestApplication& application, CK_SESSION_HANDLE session) {
  CK_BYTE random[8];
  return application->C_GenerateRandom(session, random, sizeof random);
}
CK_RV begin_search(const TestApplication& application, CK_SESSION_HANDLE session) {
  return application->C_FindObjectsInit(session, nullptr, 0);
}

// Whoever leaves operations unfinished does not keep others waiting.
TEST(RealSessions, UnfinishedOperationsLeaveRoomForOthers) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config(kFewSessions));
  proxyd.start();
  TestApplication application(proxyd);
  for (int i = 0; i < 40; ++i) ASSERT_EQ(begin_digest(application, application.open()), CKR_OK) << i;
  for (int i = 0; i < 40; ++i) ASSERT_EQ(begin_search(application, application.open(false)), CKR_OK) << i;
  EXPECT_EQ(take_random(application, application.open()), CKR_OK);
  EXPECT_EQ(take_random(application, application.open(false)), CKR_OK);
}

TEST(RealSessions, WhoCanGetNoneIsToldSo) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("sessions_rw = 1\nmax_sessions = 4"));
  proxyd.start();
  TestApplication application(proxyd), other(proxyd);
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(application.open());
  for (int i = 0; i < 3; ++i) ASSERT_EQ(begin_digest(application, sessions[i]), CKR_OK);
  EXPECT_EQ(begin_digest(application, sessions[3]), CKR_SESSION_COUNT);  // the last one is for somebody else
  const auto session = other.open();
  EXPECT_EQ(begin_digest(other, session), CKR_OK);
  EXPECT_EQ(take_random(other, other.open()), CKR_SESSION_COUNT);

  // An operation that ends makes room, also for those who wait.
  auto waiting = std::async(std::launch::async, [&] { return take_random(application, sessions[3]); });
  CK_BYTE digest[64];
  CK_ULONG length = sizeof digest;
  EXPECT_EQ(other->C_DigestFinal(session, digest, &length), CKR_OK);
  EXPECT_EQ(waiting.get(), CKR_OK);
}

TEST(RealSessions, SearchGivesUpItsSessionAndGoesOn) {
  MockModule mock;
  PrivateProxyd proxyd(mock.config("sessions_rw = 1\nmax_sessions = 2"));
  proxyd.start();
  TestApplication application(proxyd);
  const auto first = application.open();
  for (const char* label : {"one", "two", "three"})
    ASSERT_NE(application.create_data(first, false, label, "value"), CK_INVALID_HANDLE);
  CK_ATTRIBUTE none{CKA_CLASS, nullptr, 0};
  CK_OBJECT_CLASS data = CKO_DATA;
  none.pValue = &data;
  none.ulValueLen = sizeof data;
  std::vector<CK_SESSION_HANDLE> searching;
  for (int i = 0; i < 10; ++i) {
    searching.push_back(application.open());
    ASSERT_EQ(application->C_FindObjectsInit(searching.back(), &none, 1), CKR_OK) << i;
  }
  EXPECT_LE(proxyd.worker("public")["real_sessions"], 3);
  for (const CK_SESSION_HANDLE session : searching) {
    EXPECT_EQ(application->C_FindObjectsInit(session, &none, 1), CKR_OPERATION_ACTIVE);
    CK_OBJECT_HANDLE found[8];
    CK_ULONG count = 0;
    EXPECT_EQ(application->C_FindObjects(session, found, 8, &count), CKR_OK);
    EXPECT_EQ(count, 4u);  // the mock has one of its own
    EXPECT_EQ(application->C_FindObjectsFinal(session), CKR_OK);
    EXPECT_EQ(application->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
  }
}

}  // namespace
}  // namespace p11shim
