// Where the attempts of calls go in pools of several members, and what becomes of those that fail: shares, budgets, logins.
#include <atomic>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

constexpr char kCalm[] = "probe = { call = \"none\" }\nbreaker = { failures = 100, percent = 100 }\n";

class PoolAttempts : public ::testing::Test {
 protected:
  void start(const std::string& pool_options, const std::string& member_options = {}) {
    for (const std::size_t i : {0, 1}) tell(i, "");
    start_with(members.config(kCalm + pool_options, member_options));
  }
  void start_with(const std::string& config) {
    proxyd = std::make_unique<PrivateProxyd>(config);
    proxyd->start();
    application = std::make_unique<TestApplication>(*proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, kMockPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
  }
  // Beside what all tests want of it; what it has recorded is forgotten.
  void tell(std::size_t member, const std::string& more) {
    members.set(member, standing + members.rules(member).record_directive() + more);
    members.rules(member).forget_record();
  }
  std::size_t calls(std::size_t member, const std::string& function) {
    const std::string record = members.rules(member).recorded();
    std::size_t count = 0;
    for (std::size_t at = record.find(' ' + function + ' '); at != std::string::npos;
         at = record.find(' ' + function + ' ', at + 1))
      ++count;
    return count;
  }
  CK_OBJECT_HANDLE key() { return application->find(session, CKO_PRIVATE_KEY, "rsa").at(0); }
  CK_RV sign(CK_SESSION_HANDLE in, CK_OBJECT_HANDLE with) {
    CK_MECHANISM mechanism{CKM_RSA_PKCS, nullptr, 0};
    CK_BYTE data[32] = {1}, signature[512];
    CK_ULONG size = sizeof signature;
    const CK_RV rv = (*application)->C_SignInit(in, &mechanism, with);
    return rv != CKR_OK ? rv : (*application)->C_Sign(in, data, sizeof data, signature, &size);
  }
  // So many threads, each of which signs so often; what they were answered.
  std::multiset<CK_RV> sign_at_once(int threads, int times) {
    const auto with = key();
    std::mutex mutex;
    std::multiset<CK_RV> answers;
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i)
      all.emplace_back([&, in = application->open()] {
        for (int n = 0; n < times; ++n) {
          const CK_RV rv = sign(in, with);
          const std::lock_guard lock(mutex);
          answers.insert(rv);
        }
      });
    for (std::thread& thread : all) thread.join();
    return answers;
  }
  CK_RV random() {
    CK_BYTE bytes[16];
    return (*application)->C_GenerateRandom(session, bytes, sizeof bytes);
  }
  pid_t worker(std::size_t member) { return member_worker(*proxyd, "mock" + std::to_string(member)); }

  MockMembers members{2};
  std::string standing;
  const compare::PrivateDirectory directory;
  std::unique_ptr<PrivateProxyd> proxyd;
  std::unique_ptr<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
};

TEST_F(PoolAttempts, CallsThatNeverReachedTheLostMemberCostNoBudget) {
  ASSERT_NO_FATAL_FAILURE(start("strategy = \"failover\"\nattempt_timeout = \"25s\"\n"));
  constexpr int kThreads = 150;  // more than the budget has saved
  const std::string gate = (directory.path() / "gate").string();
  tell(0, "C_Sign hang=" + gate);
  std::thread killing([&] {
    EXPECT_TRUE(eventually([&] {
      const auto pools = proxyd->ask("{\"command\":\"pools\"}");
      return pools["result"]["pools"][0]["members"][0]["outstanding"] == kThreads;
    }));
    tell(0, "C_Initialize rv=CKR_DEVICE_ERROR\n");
    if (const pid_t pid = worker(0); pid > 0) ::kill(pid, SIGKILL);
  });
  const auto answers = sign_at_once(kThreads, 1);
  killing.join();
  EXPECT_EQ(answers.count(CKR_OK), static_cast<std::size_t>(kThreads));
  std::ofstream(gate) << "go\n";
}

TEST_F(PoolAttempts, AKeyGenerationDoesNotStarveItsMember) {
  ASSERT_NO_FATAL_FAILURE(start_with(
      members.config("probe = { call = \"none\" }\nbreaker = { failures = 1, percent = 100, slow_call = \"2s\" }\n")));
  for (const std::size_t i : {0, 1}) tell(i, "C_GenerateKeyPair latency=2500ms\nC_Sign latency=20ms\n");
  CK_ATTRIBUTE tmpl[] = {flag(CKA_TOKEN, kNo)};
  CK_MECHANISM generation{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  ASSERT_EQ((*application)->C_GenerateKeyPair(session, &generation, tmpl, 1, tmpl, 1, &public_key, &private_key),
            CKR_OK);
  EXPECT_EQ(members_up(*proxyd), 2u);
  const std::size_t made_on = calls(0, "C_GenerateKeyPair") != 0 ? 0 : 1;
  EXPECT_EQ(sign_at_once(4, 25).count(CKR_OK), 100u);
  EXPECT_GE(calls(made_on, "C_Sign"), 10u);
}

// Said of the call or its key, it is no reason to take the process from all others.
TEST_F(PoolAttempts, NotLoggedInEndsAWorkerOnlyIfItIs) {
  ASSERT_NO_FATAL_FAILURE(start("strategy = \"failover\"\n"));
  const pid_t pids[] = {worker(0), worker(1)};
  for (const std::size_t i : {0, 1}) tell(i, "C_GenerateRandom rv=CKR_USER_NOT_LOGGED_IN\n");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random(), CKR_USER_NOT_LOGGED_IN);
  EXPECT_EQ(members_up(*proxyd), 2u);
  EXPECT_EQ(worker(0), pids[0]);
  EXPECT_EQ(worker(1), pids[1]);
  tell(1, "");
  tell(0, "C_GenerateRandom rv=CKR_USER_NOT_LOGGED_IN\nC_GetSessionInfo rv=CKR_SESSION_HANDLE_INVALID\n");
  EXPECT_EQ(random(), CKR_OK);
  EXPECT_TRUE(eventually([&] { return worker(0) > 0 && worker(0) != pids[0]; }));
  EXPECT_EQ(worker(1), pids[1]);
}

TEST_F(PoolAttempts, AnAttemptThatFoundNoWayOutLooksAgain) {
  ASSERT_NO_FATAL_FAILURE(start("strategy = \"failover\"\nattempt_timeout = \"200ms\"\n"));
  const auto with = key();
  const std::string gate = (directory.path() / "gate").string();
  tell(0, "C_Sign hang=" + gate);
  const auto want = [&](const std::string& what) {
    return proxyd->ask("{\"command\":\"member\",\"arguments\":{\"member\":\"mock1\",\"action\":\"" + what + "\"}}");
  };
  EXPECT_TRUE(want("maint").contains("result"));
  std::atomic<bool> done = false;
  std::thread signing([&] {
    EXPECT_EQ(sign(session, with), CKR_OK);
    done = true;
  });
  EXPECT_TRUE(eventually([&] { return calls(0, "C_Sign") == 1; }));
  // Its time is over, and nobody can help.
  EXPECT_FALSE(eventually([&] { return done.load(); }, std::chrono::milliseconds(400)));
  EXPECT_TRUE(want("ready").contains("result"));
  EXPECT_TRUE(eventually([&] { return done.load(); }));
  std::ofstream(gate) << "go\n";
  signing.join();
}

TEST_F(PoolAttempts, SessionKeysAreDerivedAgainAndTokenKeysAreNot) {
  ASSERT_NO_FATAL_FAILURE(start("strategy = \"failover\"\n"));
  const auto with = key();
  for (const bool on_token : {false, true}) {
    for (const std::size_t i : {0, 1}) tell(i, i == 0 ? "C_DeriveKey rv=CKR_DEVICE_ERROR\n" : "");
    CK_MECHANISM mechanism{CKM_SHA256_KEY_DERIVATION, nullptr, 0};
    CK_ATTRIBUTE tmpl[] = {flag(CKA_TOKEN, on_token ? kYes : kNo)};
    CK_OBJECT_HANDLE derived = 0;
    EXPECT_EQ((*application)->C_DeriveKey(session, &mechanism, with, tmpl, 1, &derived),
              on_token ? CKR_DEVICE_ERROR : CKR_OK);
    EXPECT_EQ(calls(0, "C_DeriveKey"), 1u);
    EXPECT_EQ(calls(1, "C_DeriveKey"), on_token ? 0u : 1u);
  }
}

// Behind a call that hangs: nothing of it was begun, so that a key that counts its uses has counted none.
TEST_F(PoolAttempts, WhatCountsIsRepeatedIfNothingWasCalled) {
  standing = "attribute CKA_KEYS_REMAINING value=0500000000000000\n";
  ASSERT_NO_FATAL_FAILURE(
      start("strategy = \"failover\"\nattempt_timeout = \"25s\"\n", "lanes = 1\nmax_stuck_lanes = 0"));
  const auto keys = application->find(session, CKO_PRIVATE_KEY, "rsa");
  ASSERT_EQ(keys.size(), 2u);
  for (const auto with : keys) EXPECT_EQ(sign(session, with), CKR_OK);  // each on its member
  for (const std::size_t i : {0, 1}) tell(i, "");
  EXPECT_EQ(sign(session, keys[0]), CKR_OK);
  const std::size_t here = calls(0, "C_Sign") != 0 ? 0 : 1;
  const std::string gate = (directory.path() / "gate").string();
  tell(here, "C_Sign hang=" + gate);
  const auto outstanding = [&](int count) {
    return eventually([&] {
      return proxyd->ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][here]["outstanding"] == count;
    });
  };
  std::thread first([&, in = application->open()] { EXPECT_EQ(sign(in, keys[0]), CKR_DEVICE_ERROR); });
  EXPECT_TRUE(eventually([&] { return calls(here, "C_Sign") == 1; }));
  std::thread second([&, in = application->open()] { EXPECT_EQ(sign(in, keys[0]), CKR_OK); });
  EXPECT_TRUE(outstanding(2));
  tell(here, "");
  if (const pid_t pid = worker(here); pid > 0) ::kill(pid, SIGKILL);
  first.join();
  second.join();
}

// An Init that waits for a lane when the call before it says that the worker must be started anew: it is begun elsewhere, or there
// when that has started.
TEST_F(PoolAttempts, AnInitThatWaitsOutlivesTheWorkerThatIsReplaced) {
  ASSERT_NO_FATAL_FAILURE(
      start("strategy = \"failover\"\nattempt_timeout = \"25s\"\n", "lanes = 1\nmax_stuck_lanes = 0"));
  const auto with = key();
  const pid_t replaced = worker(0);
  const std::string gate = (directory.path() / "gate").string();
  tell(0, "C_Sign hang=" + gate + " rv=CKR_DEVICE_REMOVED times=1");
  std::thread first([&, in = application->open()] { EXPECT_EQ(sign(in, with), CKR_OK); });
  EXPECT_TRUE(eventually([&] { return calls(0, "C_Sign") == 1; }));
  std::thread second([&, in = application->open()] {
    CK_MECHANISM mechanism{CKM_SHA256_RSA_PKCS, nullptr, 0};
    CK_BYTE part[8] = {1}, signature[512];
    CK_ULONG size = sizeof signature;
    EXPECT_EQ((*application)->C_SignInit(in, &mechanism, with), CKR_OK);
    EXPECT_EQ((*application)->C_SignUpdate(in, part, sizeof part), CKR_OK);
    EXPECT_EQ((*application)->C_SignFinal(in, signature, &size), CKR_OK);
  });
  EXPECT_TRUE(eventually(
      [&] { return proxyd->ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][0]["outstanding"] == 2; }));
  std::ofstream(gate) << "go\n";
  first.join();
  second.join();
  EXPECT_TRUE(eventually([&] { return worker(0) > 0 && worker(0) != replaced; }));
}

// What the application was given already must come out again on the other member.
TEST_F(PoolAttempts, AReplayWithAnotherOutputEndsTheOperation) {
  ASSERT_NO_FATAL_FAILURE(start("strategy = \"failover\"\nclones = true\n"));
  const auto with = application->find(session, CKO_SECRET_KEY, "aes").at(0);
  for (const bool differs : {false, true}) {
    tell(0, "C_EncryptUpdate rv=CKR_DEVICE_ERROR after=1\n");
    tell(1, differs ? "C_EncryptUpdate length=7\n" : "");
    CK_BYTE iv[16] = {3}, data[32] = {1}, result[64];
    CK_MECHANISM cbc{CKM_AES_CBC, iv, sizeof iv};
    ASSERT_EQ((*application)->C_EncryptInit(session, &cbc, with), CKR_OK);
    CK_ULONG size = sizeof result;
    ASSERT_EQ((*application)->C_EncryptUpdate(session, data, sizeof data, result, &size), CKR_OK);
    size = sizeof result;
    EXPECT_EQ((*application)->C_EncryptUpdate(session, data, sizeof data, result, &size),
              differs ? CKR_DEVICE_ERROR : CKR_OK);
    size = sizeof result;
    EXPECT_EQ((*application)->C_EncryptFinal(session, result, &size), differs ? CKR_OPERATION_NOT_INITIALIZED : CKR_OK);
  }
}

TEST_F(PoolAttempts, WeightsAreSharesAndTheNextPriorityTakesOver) {
  for (const std::size_t i : {0, 1}) tell(i, "");
  const auto with_second = [&](const std::string& option) {
    std::string config = members.config(kCalm + std::string("strategy = \"least-outstanding\"\n"));
    const std::string name = "name = \"mock1\"\n";
    config.insert(config.find(name) + name.size(), option + "\n");
    return config;
  };
  ASSERT_NO_FATAL_FAILURE(start_with(with_second("weight = 300")));
  for (const std::size_t i : {0, 1}) tell(i, "");
  const auto with = key();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(sign(session, with), CKR_OK);
  EXPECT_EQ(calls(0, "C_Sign") + calls(1, "C_Sign"), 200u);
  EXPECT_GE(calls(0, "C_Sign"), 20u);  // 50 on average, without weights 100
  EXPECT_LE(calls(0, "C_Sign"), 80u);
  application.reset();
  proxyd->stop();
  ASSERT_NO_FATAL_FAILURE(start_with(with_second("priority = 1")));
  for (const std::size_t i : {0, 1}) tell(i, "");
  EXPECT_EQ(sign_at_once(4, 10).count(CKR_OK), 40u);
  EXPECT_EQ(calls(1, "C_Sign"), 0u);
  members.rules(0).set("C_Initialize rv=CKR_DEVICE_ERROR");
  if (const pid_t pid = worker(0); pid > 0) ::kill(pid, SIGKILL);
  EXPECT_EQ(sign_at_once(4, 10).count(CKR_OK), 40u);
  EXPECT_EQ(calls(1, "C_Sign"), 40u);
}

}  // namespace
}  // namespace p11shim
