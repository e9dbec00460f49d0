// Calls that take longer than usual on their member are made on a second one as well (hedge = "p95").
#include "signers.h"

namespace p11shim {
namespace {

constexpr char kHedged[] =
    "strategy = \"failover\"\nhedge = \"p95\"\nattempt_timeout = \"25s\"\nprobe = { call = \"none\" }\n";

struct Hedges {
  std::uint64_t made = 0;
  std::uint64_t won = 0;
};
Hedges hedges(const PrivateProxyd& proxyd, const std::string& name) {
  const auto stats = proxyd.ask("{\"command\":\"stats\"}");
  for (const auto& member : stats["result"]["members"])
    if (member["member"] == name) return {member["hedges"], member["hedges_won"]};
  return {};
}

class PoolHedge : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  }
  // Starts a pool of two, logs in, and signs until it is known how long a signature takes on the first member.
  void start(const std::string& options = kHedged, const std::string& member_options = {}) {
    proxyd = std::make_unique<PrivateProxyd>(members.config(options, member_options));
    proxyd->start();
    application = std::make_unique<TestApplication>(*proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, compare::kUserPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
    private_key = application->one(session, CKO_PRIVATE_KEY, "ec");
    public_key = application->one(session, CKO_PUBLIC_KEY, "ec");
    for (int i = 0; i < 48; ++i) ASSERT_EQ(sign(), CKR_OK);
  }
  CK_RV sign(CK_MECHANISM_TYPE type = CKM_ECDSA) {
    CK_MECHANISM mechanism{type, nullptr, 0};
    CK_BYTE digest[32] = {1}, signature[64];
    CK_ULONG size = sizeof signature;
    CK_RV rv = (*application)->C_SignInit(session, &mechanism, private_key);
    if (rv == CKR_OK) rv = (*application)->C_Sign(session, digest, sizeof digest, signature, &size);
    if (rv != CKR_OK) return rv;
    EXPECT_EQ((*application)->C_VerifyInit(session, &mechanism, public_key), CKR_OK);
    EXPECT_EQ((*application)->C_Verify(session, digest, sizeof digest, signature, size), CKR_OK);
    return rv;
  }
  std::uint64_t outstanding(std::size_t member) {
    return proxyd->ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][member]["outstanding"];
  }
  nlohmann::json user_worker(const std::string& member) {
    const auto status = member_status(*proxyd, member);
    for (const auto& worker : status["workers"])
      if (worker["domain"] == "user") return worker;
    return {};
  }
  std::filesystem::path gate() { return members.directory(0) / "gate"; }
  void open_gate() { std::ofstream(gate()) << "open"; }

  PoolMembers members{2};
  std::unique_ptr<PrivateProxyd> proxyd;
  std::unique_ptr<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE private_key = 0, public_key = 0;
};

TEST_F(PoolHedge, TheSecondAnswersAndTheLateAnswerIsDiscarded) {
  ASSERT_NO_FATAL_FAILURE(start(kHedged, "lanes = 1\nsessions_ro = 1\nsessions_rw = 1"));
  const Hedges before = hedges(*proxyd, "hsm1");
  const pid_t worker = member_worker(*proxyd, "hsm0");
  members.rules(0).set("C_Sign hang=" + gate().string() + " times=1");
  EXPECT_EQ(sign(), CKR_OK);  // while the first member does not answer at all
  EXPECT_GT(hedges(*proxyd, "hsm1").won, before.won);
  EXPECT_EQ(outstanding(0), 1u);
  EXPECT_EQ(user_worker("hsm0")["busy_lanes"], 1);
  EXPECT_EQ(user_worker("hsm0")["stuck_lanes"], 0);
  open_gate();
  EXPECT_TRUE(eventually([&] { return outstanding(0) == 0 && user_worker("hsm0")["busy_lanes"] == 0; }));
  // The only lane and the only session are free again: the first member signs, and nothing was started anew.
  const auto signed_there = [&] {
    const auto stats = proxyd->ask("{\"command\":\"stats\"}");
    for (const auto& member : stats["result"]["members"])
      if (member["member"] == "hsm0") return member["functions"]["C_Sign"]["calls"].get<std::uint64_t>();
    return std::uint64_t{0};
  };
  const std::uint64_t count = signed_there();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sign(), CKR_OK);
  EXPECT_GT(signed_there(), count);
  EXPECT_EQ(member_worker(*proxyd, "hsm0"), worker);
  EXPECT_TRUE(is_up(*proxyd, "hsm0"));
}

TEST_F(PoolHedge, AHedgeThatFailsChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(start());
  const Hedges before = hedges(*proxyd, "hsm1");
  members.rules(1).set("C_Sign rv=CKR_DEVICE_ERROR");
  members.rules(0).set("C_Sign hang=" + gate().string() + " times=1");
  std::thread opener([&] {
    EXPECT_TRUE(eventually([&] { return hedges(*proxyd, "hsm1").made > before.made; }));
    open_gate();
  });
  EXPECT_EQ(sign(), CKR_OK);
  opener.join();
  EXPECT_EQ(hedges(*proxyd, "hsm1").won, before.won);
}

TEST_F(PoolHedge, AFirstThatFailsLeavesItToTheHedge) {
  ASSERT_NO_FATAL_FAILURE(start());
  members.rules(1).set("C_Sign latency=300ms times=1");
  members.rules(0).set("C_Sign latency=100ms rv=CKR_DEVICE_ERROR times=1");
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_TRUE(eventually([&] { return outstanding(0) == 0 && outstanding(1) == 0; }));
  // A worker that dies is no failure of the call either.
  members.rules(1).set("C_Sign latency=300ms times=1");
  members.rules(0).set("C_Sign latency=100ms crash=kill times=1");
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_TRUE(eventually([&] { return outstanding(0) == 0 && outstanding(1) == 0; }));
}

TEST_F(PoolHedge, IsOneOfTheAttemptsThatACallHas) {
  ASSERT_NO_FATAL_FAILURE(start(std::string(kHedged) + "max_attempts = 2\n"));
  members.rules(1).set("C_Sign latency=300ms rv=CKR_DEVICE_ERROR times=1");
  members.rules(0).set("C_Sign latency=100ms rv=CKR_DEVICE_ERROR times=1");
  EXPECT_EQ(sign(), CKR_DEVICE_ERROR);
  EXPECT_TRUE(eventually([&] { return outstanding(0) == 0 && outstanding(1) == 0; }));
  EXPECT_EQ(sign(), CKR_OK);
}

// Neither of them answers in the time that a member is given: the hedge is given up, too, and the call goes on elsewhere.
TEST_F(PoolHedge, AHedgeIsGivenNoMoreTimeThanItsMembersMaxCall) {
  PoolMembers three(3);
  PrivateProxyd of_three(three.config(kHedged, "max_call = \"1s\"\n"));
  of_three.start();
  application = std::make_unique<TestApplication>(of_three);
  session = application->open();
  ASSERT_EQ(application->log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(of_three) == 3; }));
  private_key = application->one(session, CKO_PRIVATE_KEY, "ec");
  public_key = application->one(session, CKO_PUBLIC_KEY, "ec");
  for (int i = 0; i < 48; ++i) ASSERT_EQ(sign(), CKR_OK);
  const Hedges before = hedges(of_three, "hsm1");
  for (const std::size_t member : {0, 1}) three.rules(member).set("C_Sign hang=" + gate().string() + " times=1");
  EXPECT_EQ(sign(), CKR_OK);
  EXPECT_GT(hedges(of_three, "hsm1").made, before.made);
  EXPECT_EQ(hedges(of_three, "hsm1").won, before.won);
  open_gate();
  application.reset();
}

TEST_F(PoolHedge, NoneWithoutBudgetOrWhenItIsOff) {
  const std::string without_budget = kHedged + std::string("retry_budget = { percent = 0, per_second = 0 }\n");
  const std::string off = "strategy = \"failover\"\nattempt_timeout = \"25s\"\nprobe = { call = \"none\" }\n";
  for (const std::string& options : {without_budget, off}) {
    ASSERT_NO_FATAL_FAILURE(start(options));
    members.rules(0).set("C_Sign latency=300ms times=1");
    EXPECT_EQ(sign(), CKR_OK);
    EXPECT_EQ(hedges(*proxyd, "hsm1").made, 0u);
    application.reset();
  }
}

// What one answered is used as if it had been asked alone: the operation goes on there.
TEST_F(PoolHedge, ALengthQueryThatWasHedgedIsFollowedByItsCall) {
  ASSERT_NO_FATAL_FAILURE(start());
  const auto key = application->one(session, CKO_SECRET_KEY, "aes");
  CK_BYTE iv[16] = {3}, data[16] = {5}, expected[32], result[32];
  CK_MECHANISM mechanism{CKM_AES_CBC, iv, sizeof iv};
  const auto encrypt = [&](CK_BYTE* into) {
    CK_ULONG size = 0;
    EXPECT_EQ((*application)->C_EncryptInit(session, &mechanism, key), CKR_OK);
    EXPECT_EQ((*application)->C_Encrypt(session, data, sizeof data, nullptr, &size), CKR_OK);
    EXPECT_EQ((*application)->C_Encrypt(session, data, sizeof data, into, &size), CKR_OK);
  };
  for (int i = 0; i < 40; ++i) encrypt(expected);
  members.rules(0).set("C_Encrypt hang=" + gate().string() + " times=1");
  encrypt(result);
  EXPECT_EQ(std::memcmp(expected, result, 16), 0);
  open_gate();
  EXPECT_TRUE(eventually([&] { return outstanding(0) == 0; }));
}

TEST_F(PoolHedge, UnderLoadNothingFailsWhileAMemberStalls) {
  PrivateProxyd of_three(members.config("strategy = \"round-robin\"\nhedge = \"p95\"\nattempt_timeout = \"25s\"\n"));
  of_three.start();
  TestApplication several(of_three);
  Signers signers(several, 6);
  ASSERT_TRUE(signers.goes_on(100));
  members.rules(0).set("C_Sign latency=200ms probability=0.05");
  ASSERT_TRUE(signers.goes_on(300));
  signers.stop();
  EXPECT_GT(hedges(of_three, "hsm1").made + hedges(of_three, "hsm0").made, 0u);
}

}  // namespace
}  // namespace p11shim
