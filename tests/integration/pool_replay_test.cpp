// Operations of several parts whose member is lost in the middle: taken over by another one, or ended so that the session
// goes on; and members that take a limited number of calls at a time.
#include <thread>

#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

class PoolReplay : public PoolWrites {
 protected:
  static constexpr CK_ULONG kPart = 70'000;  // too long to be gathered by the shim

  void start(const std::string& options = {}) {
    ASSERT_NO_FATAL_FAILURE(add_mac_keys());
    proxyd = std::make_unique<PrivateProxyd>(members->config(kQuick + ("strategy = \"failover\"\n" + options)));
    proxyd->start();
    application = std::make_unique<TestApplication>(*proxyd);
    ASSERT_NO_FATAL_FAILURE(enter(*application, *proxyd, session));
    key = application->one(session, CKO_SECRET_KEY, "mac");
  }
  // The same key on both, which may do everything.
  void add_mac_keys() {
    members.emplace(2);
    for (const std::size_t i : {0, 1})
      ASSERT_NO_FATAL_FAILURE(members->alone(i, [&](TestApplication& alone, auto its_session) {
        CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
        CK_KEY_TYPE type = CKK_AES;
        CK_BYTE value[32] = {7, 7, 7};
        char label[] = "mac";
        CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                               {CKA_KEY_TYPE, &type, sizeof type},
                               {CKA_VALUE, value, sizeof value},
                               {CKA_LABEL, label, 3},
                               flag(CKA_TOKEN, kYes),
                               flag(CKA_PRIVATE, kYes),
                               flag(CKA_SIGN, kYes),
                               flag(CKA_VERIFY, kYes),
                               flag(CKA_ENCRYPT, kYes),
                               flag(CKA_DECRYPT, kYes)};
        CK_OBJECT_HANDLE made = 0;
        ASSERT_EQ(alone->C_CreateObject(its_session, tmpl, std::size(tmpl), &made), CKR_OK);
      }));
  }
  // Before the last part of three.
  void lose_member(int part, bool loses) {
    if (part != 2 || !loses) return;
    const pid_t worker = member_worker(*proxyd, "hsm0");
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);
  }
  // part(i) for three parts; then hsm0 comes back.
  template <class Part>
  void in_parts(bool loses, Part part) {
    for (int i = 0; i < 3; ++i) {
      lose_member(i, loses);
      ASSERT_EQ(part(i), CKR_OK) << i << proxyd->log();
    }
  }
  void wait_for_members() {
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
  }
  Bytes digest(bool loses) {
    CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
    Bytes result(32);
    CK_ULONG size = result.size();
    EXPECT_EQ((*application)->C_DigestInit(session, &sha), CKR_OK);
    in_parts(loses, [&](int) { return (*application)->C_DigestUpdate(session, data.data(), kPart); });
    EXPECT_EQ((*application)->C_DigestFinal(session, result.data(), &size), CKR_OK);
    return result;
  }
  Bytes sign(bool loses) {
    Bytes result(16);
    CK_ULONG size = result.size();
    EXPECT_EQ((*application)->C_SignInit(session, &cmac, key), CKR_OK);
    in_parts(loses, [&](int) { return (*application)->C_SignUpdate(session, data.data(), kPart); });
    EXPECT_EQ((*application)->C_SignFinal(session, result.data(), &size), CKR_OK);
    return result;
  }
  Bytes decrypt(bool loses) {
    CK_BYTE iv[16] = {3};
    CK_MECHANISM cbc{CKM_AES_CBC, iv, sizeof iv};
    Bytes result(3 * kPart + 16);
    CK_ULONG done = 0;
    EXPECT_EQ((*application)->C_DecryptInit(session, &cbc, key), CKR_OK);
    in_parts(loses, [&](int) {
      CK_ULONG size = result.size() - done;
      const CK_RV rv = (*application)->C_DecryptUpdate(session, data.data(), kPart, result.data() + done, &size);
      done += size;
      return rv;
    });
    CK_ULONG size = result.size() - done;
    EXPECT_EQ((*application)->C_DecryptFinal(session, result.data() + done, &size), CKR_OK);
    return result;
  }

  std::optional<PoolMembers> members;
  std::unique_ptr<PrivateProxyd> proxyd;
  std::unique_ptr<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE key = 0;
  CK_MECHANISM cmac{CKM_AES_CMAC, nullptr, 0};
  Bytes data = Bytes(kPart, 5);
};

TEST_F(PoolReplay, EveryKindOfOperationOutlivesItsMember) {
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_EQ(digest(true), digest(false));
  ASSERT_NO_FATAL_FAILURE(wait_for_members());
  const Bytes signature = sign(false);
  EXPECT_EQ(sign(true), signature);
  ASSERT_NO_FATAL_FAILURE(wait_for_members());
  EXPECT_EQ(decrypt(true), decrypt(false));
  ASSERT_NO_FATAL_FAILURE(wait_for_members());
  for (const bool good : {true, false}) {
    Bytes shown = signature;
    shown[3] ^= good ? 0 : 1;
    ASSERT_EQ((*application)->C_VerifyInit(session, &cmac, key), CKR_OK);
    in_parts(good, [&](int) { return (*application)->C_VerifyUpdate(session, data.data(), kPart); });
    EXPECT_EQ((*application)->C_VerifyFinal(session, shown.data(), shown.size()),
              good ? CKR_OK : CKR_SIGNATURE_INVALID);
  }
}

TEST_F(PoolReplay, WhatIsLongerThanItsLimitEndsAndTheSessionGoesOn) {
  ASSERT_NO_FATAL_FAILURE(start("replay_limit = \"128KiB\"\n"));
  CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
  ASSERT_EQ((*application)->C_DigestInit(session, &sha), CKR_OK);
  for (int i = 0; i < 2; ++i) ASSERT_EQ((*application)->C_DigestUpdate(session, data.data(), kPart), CKR_OK);
  lose_member(2, true);
  EXPECT_EQ((*application)->C_DigestUpdate(session, data.data(), kPart), CKR_DEVICE_ERROR);
  CK_BYTE result[32];
  CK_ULONG size = sizeof result;
  EXPECT_EQ((*application)->C_DigestFinal(session, result, &size), CKR_OPERATION_NOT_INITIALIZED);
  EXPECT_EQ(digest(false).size(), 32u);
  EXPECT_EQ(sign(false).size(), 16u);
}

// The memory counts that small parts take, not their bytes.
TEST_F(PoolReplay, ManySmallPartsAreNotKeptWithoutEnd) {
  ASSERT_NO_FATAL_FAILURE(start("replay_limit = \"128KiB\"\n"));
  CK_BYTE iv[16] = {3}, result[4096];
  CK_MECHANISM cbc{CKM_AES_CBC, iv, sizeof iv};
  ASSERT_EQ((*application)->C_EncryptInit(session, &cbc, key), CKR_OK);
  for (int i = 0; i < 400; ++i) {  // 6400 bytes
    CK_ULONG size = sizeof result;
    ASSERT_EQ((*application)->C_EncryptUpdate(session, result, 16, result, &size), CKR_OK);
  }
  lose_member(2, true);
  CK_ULONG size = sizeof result;
  EXPECT_EQ((*application)->C_EncryptUpdate(session, result, 16, result, &size), CKR_DEVICE_ERROR);
}

// The others wait, and none is lost.
TEST(PoolConcurrency, AMemberTakesNoMoreCallsThanItMay) {
  MockMembers members(2);
  const compare::PrivateDirectory directory;
  const std::string gate = (directory.path() / "go").string();
  const auto recorded = [&] {
    std::size_t count = 0;
    for (const std::size_t member : {0, 1}) {
      const std::string record = members.rules(member).recorded();
      for (std::size_t at = record.find(" C_Sign "); at != std::string::npos; at = record.find(" C_Sign ", at + 1))
        ++count;
    }
    return count;
  };
  PrivateProxyd proxyd(
      members.config("attempt_timeout = \"25s\"\nprobe = { call = \"none\" }\n", "max_concurrency = 1"));
  for (const std::size_t member : {0, 1}) members.set(member, members.rules(member).record_directive());
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  const auto key = application.one(session, CKO_PRIVATE_KEY, "rsa");
  const auto sign = [&](CK_SESSION_HANDLE in) {
    CK_MECHANISM mechanism{CKM_RSA_PKCS, nullptr, 0};
    CK_BYTE data[32] = {1}, signature[512];
    CK_ULONG size = sizeof signature;
    const CK_RV rv = application->C_SignInit(in, &mechanism, key);
    return rv != CKR_OK ? rv : application->C_Sign(in, data, sizeof data, signature, &size);
  };
  ASSERT_EQ(sign(session), CKR_OK);  // from now on each signature is one call, from its Init on
  for (const std::size_t member : {0, 1}) {
    members.rules(member).forget_record();
    members.set(member, members.rules(member).record_directive() + "C_Sign hang=" + gate);
  }
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i)
    threads.emplace_back([&, in = application.open()] {
      EXPECT_EQ(sign(in), CKR_OK);
      ++done;
    });
  const auto outstanding = [&](std::size_t member) {
    return proxyd.ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][member]["outstanding"].get<int>();
  };
  EXPECT_TRUE(eventually([&] { return recorded() == 2; }));
  for (int look = 0; look < 20; ++look)
    for (const std::size_t member : {0, 1}) EXPECT_EQ(outstanding(member), 1);
  EXPECT_EQ(recorded(), 2u);
  EXPECT_EQ(done, 0);
  std::ofstream(gate) << "go\n";
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(done, 5);
  EXPECT_EQ(recorded(), 5u);
  for (const std::size_t member : {0, 1}) EXPECT_EQ(outstanding(member), 0);
}

class PoolTurns : public ::testing::Test {
 protected:
  // Signs a part; the operation then has a real session of the first member to itself.
  CK_SESSION_HANDLE begin() {
    const auto session = application->open();
    CK_MECHANISM mechanism{CKM_AES_CMAC, nullptr, 0};
    EXPECT_EQ((*application)->C_SignInit(session, &mechanism, key), CKR_OK);
    EXPECT_EQ((*application)->C_SignUpdate(session, part, sizeof part), CKR_OK);
    return session;
  }
  CK_RV end(CK_SESSION_HANDLE session) {
    CK_BYTE signature[64];
    CK_ULONG size = sizeof signature;
    return (*application)->C_SignFinal(session, signature, &size);
  }
  void start(const std::string& member_options) {
    proxyd = std::make_unique<PrivateProxyd>(members.config(
        "attempt_timeout = \"25s\"\nprobe = { call = \"none\" }\nstrategy = \"failover\"\n", member_options));
    proxyd->start();
    application = std::make_unique<TestApplication>(*proxyd);
    const auto session = application->open();
    ASSERT_EQ(application->log_in(session, kMockPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
    key = application->one(session, CKO_SECRET_KEY, "aes");
  }
  int outstanding() {
    return proxyd->ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][0]["outstanding"].get<int>();
  }
  std::size_t ends_recorded() {
    const std::string record = members.rules(0).recorded();
    std::size_t count = 0;
    for (std::size_t at = record.find(" C_SignFinal "); at != std::string::npos;
         at = record.find(" C_SignFinal ", at + 1))
      ++count;
    return count;
  }

  MockMembers members{2};
  const compare::PrivateDirectory directory;
  const std::string gate = (directory.path() / "go").string();
  std::unique_ptr<PrivateProxyd> proxyd;
  std::unique_ptr<TestApplication> application;
  CK_OBJECT_HANDLE key = 0;
  CK_BYTE part[16] = {1};
};

// Operations that were begun there cannot go elsewhere: their calls take turns.
TEST_F(PoolTurns, WhatWasBegunOnAMemberKeepsToItsLimit) {
  ASSERT_NO_FATAL_FAILURE(start("max_concurrency = 1"));
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 3; ++i) sessions.push_back(begin());
  members.set(0, members.rules(0).record_directive() + "C_SignFinal hang=" + gate);
  std::vector<std::thread> threads;
  for (const auto session : sessions) threads.emplace_back([&, session] { EXPECT_EQ(end(session), CKR_OK); });
  EXPECT_TRUE(eventually([&] { return outstanding() == 3 && ends_recorded() != 0; }));
  for (int look = 0; look < 50; ++look) EXPECT_EQ(outstanding(), 3);
  EXPECT_EQ(ends_recorded(), 1u);
  std::ofstream(gate) << "go\n";
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ends_recorded(), 3u);
  EXPECT_EQ(outstanding(), 0);
}

// A call that waits for a real session has no turn: who keeps that session from it could not end otherwise.
TEST_F(PoolTurns, WhoWaitsForASessionHoldsUpNobody) {
  ASSERT_NO_FATAL_FAILURE(start("max_concurrency = 1\nsessions_rw = 1\nmax_sessions = 1"));
  const auto session = begin();
  std::thread another([&, in = application->open()] {
    CK_MECHANISM mechanism{CKM_AES_CMAC, nullptr, 0};
    CK_BYTE signature[64];
    CK_ULONG size = sizeof signature;
    EXPECT_EQ((*application)->C_SignInit(in, &mechanism, key), CKR_OK);
    EXPECT_EQ((*application)->C_Sign(in, part, sizeof part, signature, &size), CKR_OK);
  });
  EXPECT_TRUE(eventually([&] { return outstanding() == 1; }));
  EXPECT_EQ((*application)->C_SignUpdate(session, part, sizeof part), CKR_OK);
  EXPECT_EQ(end(session), CKR_OK);
  another.join();
  EXPECT_EQ(outstanding(), 0);
}

// Its worker dies while they wait: each is begun again elsewhere.
TEST_F(PoolTurns, WhoWaitsForATurnOutlivesTheWorker) {
  ASSERT_NO_FATAL_FAILURE(start("max_concurrency = 1"));
  std::vector<CK_SESSION_HANDLE> sessions;
  for (int i = 0; i < 3; ++i) sessions.push_back(begin());
  members.set(0, "C_SignFinal hang=" + gate);
  std::vector<std::thread> threads;
  for (const auto session : sessions) threads.emplace_back([&, session] { EXPECT_EQ(end(session), CKR_OK); });
  EXPECT_TRUE(eventually([&] { return outstanding() == 3; }));
  const pid_t worker = member_worker(*proxyd, "mock0");
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGKILL);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace p11shim
