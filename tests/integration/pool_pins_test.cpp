// PINs that a member of a pool refuses are not shown to it again: its HSM counts them, and locks.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "application.h"
#include "mock/token.h"
#include "mock_members.h"
#include "pool_members.h"

namespace p11shim {
namespace {

// proxyd logs in when it has started.
constexpr char kLooksFirst[] = "replication = \"wrap\"\nwrapping_key = \"wrap\"\n";

class PoolPins : public ::testing::Test {
 protected:
  void start() {
    for (const std::size_t i : {0, 1}) tell(i, "");
    proxyd = std::make_unique<PrivateProxyd>(
        members.config("strategy = \"failover\"\nprobe = { call = \"none\" }\nadmin = [\"" + me() + "\"]\n"));
    proxyd->start();
  }
  // proxyd logs in with a PIN of its own, which is kMockPin.
  void start_with_own_pin(const std::string& pool_options = {}) { start_with_own_pin(members, pool_options); }
  void start_with_own_pin(MockMembers& of, const std::string& pool_options) {
    const std::filesystem::path file = of.rules(0).path().parent_path() / "own-pin";
    std::ofstream(file) << kMockPin << "\n";
    std::filesystem::permissions(file, std::filesystem::perms(0600));
    proxyd = std::make_unique<PrivateProxyd>(
        of.config("strategy = \"failover\"\nprobe = { call = \"none\" }\nadmin = [\"" + me() + "\"]\n" + pool_options,
                  "login = \"daemon\"\npin_file = \"" + file.string() + "\"\n"));
    proxyd->start();
  }
  void tell(std::size_t member, const std::string& rules) {
    members.set(member, members.rules(member).record_directive() + rules);
  }
  // How often this function was called there since the test began.
  std::size_t calls(std::size_t member, const std::string& function) {
    const std::string record = members.rules(member).recorded(), called = ' ' + function + ' ';
    std::size_t count = 0;
    for (std::size_t at = record.find(called); at != std::string::npos; at = record.find(called, at + 1)) ++count;
    return count;
  }
  // `pool`: needed where the member is in several.
  void say(const std::string& action, const std::string& member, const std::string& pool = {}) {
    const auto answer = proxyd->ask(R"({"command":"member","arguments":{"pool":")" + pool + R"(","member":")" + member +
                                    R"(","action":")" + action + "\"}}");
    EXPECT_EQ(answer["ok"], true) << answer;
  }
  bool is_quarantined(const std::string& member) {
    return eventually(
        [&] { return member_status(*proxyd, member)["reason"].get<std::string>().starts_with("it refused the PIN"); });
  }
  CK_RV log_in(const std::string& pin, CK_USER_TYPE user = CKU_USER) {
    TestApplication application(*proxyd);
    return application.log_in(application.open(), pin, user);
  }

  MockMembers members{2};
  std::unique_ptr<PrivateProxyd> proxyd;
};

TEST_F(PoolPins, ASecurityOfficersPinThatAMemberRefusedIsNotShownToItAgain) {
  ASSERT_NO_FATAL_FAILURE(start());
  tell(1, "C_Login rv=CKR_PIN_INCORRECT");
  const std::string pin(kMockSoPin);
  EXPECT_EQ(log_in(pin, CKU_SO), CKR_PIN_INCORRECT);
  EXPECT_EQ(calls(0, "C_Login"), 1u);
  EXPECT_EQ(calls(1, "C_Login"), 1u);
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(log_in(pin, CKU_SO), CKR_PIN_INCORRECT);
    TestApplication application(*proxyd);
    std::string label(32, ' '), same = pin;
    EXPECT_EQ(application->C_InitToken(0, reinterpret_cast<CK_UTF8CHAR*>(same.data()), same.size(),
                                       reinterpret_cast<CK_UTF8CHAR*>(label.data())),
              CKR_PIN_INCORRECT);
    if (run == 0) proxyd->restart();
  }
  EXPECT_EQ(calls(0, "C_Login"), 1u);
  EXPECT_EQ(calls(1, "C_Login"), 1u);
  for (const std::size_t member : {0, 1}) EXPECT_EQ(calls(member, "C_InitToken"), 0u);
  EXPECT_NE(proxyd->log().find("member mock1 has refused this PIN"), std::string::npos);
  EXPECT_EQ(proxyd->log().find(pin), std::string::npos);
  // A wrong one is the first member's to refuse; and once the operator has put the PIN right it is shown again.
  EXPECT_EQ(log_in("wrong", CKU_SO), CKR_PIN_INCORRECT);
  EXPECT_EQ(calls(0, "C_Login"), 2u);
  EXPECT_EQ(calls(1, "C_Login"), 1u);
  tell(1, "");
  EXPECT_EQ(log_in(pin, CKU_SO), CKR_PIN_INCORRECT);
  say("ready", "mock1");
  EXPECT_EQ(log_in(pin, CKU_SO), CKR_OK);
  EXPECT_EQ(calls(1, "C_Login"), 2u);
}

TEST_F(PoolPins, ASecurityOfficersPinIsShownToNobodyWhileAMemberIsInMaintenance) {
  ASSERT_NO_FATAL_FAILURE(start());
  say("maint", "mock1");
  EXPECT_EQ(log_in(std::string(kMockSoPin), CKU_SO), CKR_DEVICE_ERROR);
  for (const std::size_t member : {0, 1}) EXPECT_EQ(calls(member, "C_Login"), 0u);
}

// It has looked at no PIN: the others are asked, and it is left alone when one of them accepts.
TEST_F(PoolPins, AMemberWithALockedPinLocksNobodyOut) {
  ASSERT_NO_FATAL_FAILURE(start());
  for (const char* answer : {"CKR_PIN_LOCKED", "CKR_PIN_EXPIRED", "CKR_USER_PIN_NOT_INITIALIZED"}) {
    tell(0, std::string("C_Login rv=") + answer);
    const std::size_t before = calls(0, "C_Login");
    EXPECT_EQ(log_in("wrong"), CKR_PIN_INCORRECT) << answer;
    {
      TestApplication application(*proxyd);
      const auto session = application.open();
      ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK) << answer;
      EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
      EXPECT_TRUE(is_quarantined("mock0"));
    }
    EXPECT_EQ(log_in(kMockPin), CKR_OK) << answer;
    EXPECT_EQ(calls(0, "C_Login"), before + 2) << answer;
    say("ready", "mock0");
  }
  for (const std::size_t member : {0, 1}) tell(member, "C_Login rv=CKR_PIN_LOCKED");
  EXPECT_EQ(log_in(kMockPin), CKR_PIN_LOCKED);
  tell(1, "C_Login rv=CKR_DEVICE_ERROR");
  EXPECT_EQ(log_in(kMockPin), CKR_PIN_LOCKED);
}

TEST_F(PoolPins, APinThatAMemberRefusedIsNotChangedWithoutALogin) {
  ASSERT_NO_FATAL_FAILURE(start());
  tell(1, "C_Login rv=CKR_PIN_INCORRECT");
  {
    TestApplication application(*proxyd);
    ASSERT_EQ(application.log_in(application.open(), kMockPin), CKR_OK);
    EXPECT_TRUE(is_quarantined("mock1"));
  }
  for (int run = 0; run < 2; ++run) {
    TestApplication application(*proxyd);
    EXPECT_EQ(application.set_pin(application.open(), kMockPin, "another"), CKR_DEVICE_ERROR);
    if (run == 0) proxyd->restart();
  }
  for (const std::size_t member : {0, 1}) EXPECT_EQ(calls(member, "C_SetPIN"), 0u);
  // The operator's word lasts although nobody is logged in.
  say("ready", "mock1");
  proxyd->restart();
  TestApplication application(*proxyd);
  EXPECT_EQ(application.set_pin(application.open(), kMockPin, "another"), CKR_OK);
  for (const std::size_t member : {0, 1}) EXPECT_EQ(calls(member, "C_SetPIN"), 1u);
}

// It logs in when it is started, which may be again and again, and when an application does.
TEST_F(PoolPins, ProxydsOwnPinIsShownOnceToAMemberThatRefusesIt) {
  for (const std::size_t member : {0, 1}) tell(member, "C_Login rv=CKR_PIN_INCORRECT");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin(kLooksFirst));
  for (int run = 0; run < 3; ++run) {
    EXPECT_EQ(log_in("any"), CKR_PIN_INCORRECT);
    for (const std::size_t member : {0, 1}) EXPECT_EQ(calls(member, "C_Login"), 1u) << "run " << run;
    if (run < 2) proxyd->restart();
  }
  for (const std::size_t member : {0, 1}) tell(member, "");
  EXPECT_EQ(log_in("any"), CKR_PIN_INCORRECT);
  say("ready", "mock0");
  EXPECT_EQ(log_in("any"), CKR_OK);
  EXPECT_EQ(calls(1, "C_Login"), 1u);
}

TEST_F(PoolPins, ProxydsOwnPinIsShownAgainWhenTheSecurityOfficerHasSetIt) {
  for (const CK_RV answer : {CKR_PIN_INCORRECT, CKR_PIN_LOCKED}) {
    for (const std::size_t member : {0, 1})
      tell(member, "C_Login rv=" + std::string(answer == CKR_PIN_LOCKED ? "CKR_PIN_LOCKED" : "CKR_PIN_INCORRECT"));
    ASSERT_NO_FATAL_FAILURE(start_with_own_pin());
    const std::size_t before = calls(0, "C_Login");
    for (int run = 0; run < 2; ++run) EXPECT_EQ(log_in("any"), answer);
    for (const std::size_t member : {0, 1}) {
      EXPECT_EQ(calls(member, "C_Login"), before + 1);
      tell(member, "");
    }
    EXPECT_EQ(log_in("any"), answer);
    {
      TestApplication officer(*proxyd);
      const auto session = officer.open();
      ASSERT_EQ(officer.log_in(session, kMockSoPin, CKU_SO), CKR_OK);
      std::string pin(kMockPin);
      ASSERT_EQ(officer->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()), CKR_OK);
    }
    for (int run = 0; run < 2; ++run) {
      TestApplication application(*proxyd);
      ASSERT_EQ(application.log_in(application.open(), "any"), CKR_OK);
      EXPECT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
      if (run == 0) proxyd->restart();
    }
    EXPECT_EQ(proxyd->stop(), 0);
  }
}

TEST_F(PoolPins, AloneAMemberIsShownProxydsOwnPinAgainToo) {
  MockMembers one(1);
  one.set(0, "C_Login rv=CKR_PIN_INCORRECT");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin(one, {}));
  EXPECT_EQ(log_in("any"), CKR_PIN_INCORRECT);
  one.set(0, "");
  EXPECT_EQ(log_in("any"), CKR_PIN_INCORRECT);
  TestApplication officer(*proxyd);
  const auto session = officer.open();
  ASSERT_EQ(officer.log_in(session, kMockSoPin, CKU_SO), CKR_OK);
  std::string pin(kMockPin);
  ASSERT_EQ(officer->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()), CKR_OK);
  ASSERT_EQ(officer->C_Logout(session), CKR_OK);
  EXPECT_EQ(log_in("any"), CKR_OK);
}

// Nothing was tried there, so nothing is remembered: it may be given a PIN later.
TEST_F(PoolPins, ATokenWithoutAPinIsAskedAgainWithProxyds) {
  for (const std::size_t member : {0, 1}) tell(member, "C_Login rv=CKR_USER_PIN_NOT_INITIALIZED");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin());
  EXPECT_EQ(log_in("any"), CKR_USER_PIN_NOT_INITIALIZED);
  for (const std::size_t member : {0, 1}) tell(member, "");
  EXPECT_EQ(log_in("any"), CKR_OK);
}

// The same where it had one when proxyd logged in first.
TEST_F(PoolPins, ATokenThatHasLostItsPinIsAskedAgainWithProxyds) {
  tell(1, "");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin());
  TestApplication application(*proxyd);
  ASSERT_EQ(application.log_in(application.open(), "any"), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
  tell(1, "C_Login rv=CKR_USER_PIN_NOT_INITIALIZED");
  ASSERT_EQ(::kill(member_worker(*proxyd, "mock1"), SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return calls(1, "C_Login") >= 2; }));
  tell(1, "");
  EXPECT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
}

TEST_F(PoolPins, ProxydsOwnPinIsShownOnceThoughItIsRefusedWhenAWorkerReturns) {
  tell(1, "");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin());
  for (int run = 0; run < 2; ++run) {
    TestApplication application(*proxyd);
    ASSERT_EQ(application.log_in(application.open(), "any"), CKR_OK);
    if (run == 0) {
      ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
      tell(1, "C_Login rv=CKR_PIN_INCORRECT");
      ASSERT_EQ(::kill(member_worker(*proxyd, "mock1"), SIGKILL), 0);
    }
    EXPECT_TRUE(eventually([&] {
      return member_status(*proxyd, "mock1")["reason"].get<std::string>().starts_with("it refused proxyd's PIN");
    }));
    EXPECT_EQ(calls(1, "C_Login"), 2u);
    if (run == 0) proxyd->restart();
  }
}

// Each has domains of its own, which log in at the same time.
TEST_F(PoolPins, ProxydsOwnPinIsShownOnceThoughOnePoolHasNothingElse) {
  for (const std::size_t member : {0, 1}) tell(member, "C_Login rv=CKR_PIN_INCORRECT");
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin("[[pool]]\nname = \"alone\"\nslot = 1\nmembers = [\"mock0\"]\n"));
  for (const CK_SLOT_ID slot : {1, 0}) {
    TestApplication application(*proxyd);
    EXPECT_EQ(application.log_in(application.open(true, slot), "any"), CKR_PIN_INCORRECT);
  }
  EXPECT_EQ(calls(0, "C_Login"), 1u);
}

TEST_F(PoolPins, ProxydsOwnPinIsShownOnceByAllPoolsOfAMember) {
  constexpr CK_SLOT_ID kPools = 3;
  const std::string refuses = "C_Login rv=CKR_PIN_INCORRECT latency=200ms";
  std::string more = kLooksFirst;
  for (CK_SLOT_ID slot = 1; slot < kPools; ++slot)
    more += "[[pool]]\nname = \"pool" + std::to_string(slot) + "\"\nslot = " + std::to_string(slot) +
            "\nmembers = [\"mock0\", \"mock1\"]\nprobe = { call = \"none\" }\n" + kLooksFirst;
  const auto log_in_to_all = [&](std::vector<std::unique_ptr<TestApplication>>& applications, CK_RV expected) {
    for (CK_SLOT_ID slot = 0; slot < kPools; ++slot) {
      const auto& application = applications.emplace_back(std::make_unique<TestApplication>(*proxyd));
      EXPECT_EQ(application->log_in(application->open(true, slot), "any"), expected);
    }
  };
  for (const std::size_t member : {0, 1}) tell(member, refuses);
  ASSERT_NO_FATAL_FAILURE(start_with_own_pin(more));
  ASSERT_TRUE(eventually([&] { return calls(0, "C_Login") != 0; }));
  std::vector<std::unique_ptr<TestApplication>> applications;
  log_in_to_all(applications, CKR_PIN_INCORRECT);
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(calls(member, "C_Login"), 1u);
    tell(member, "");
    say("ready", "mock" + std::to_string(member), "pool");
  }
  // All their workers return at once.
  proxyd->restart();
  applications.clear();
  log_in_to_all(applications, CKR_OK);
  const auto workers = [&] {
    std::vector<pid_t> pids;
    const auto status = proxyd->status();
    for (const auto& member : status["members"])
      for (const auto& worker : member["workers"])
        if (member["member"] == "mock1" && worker["domain"] == "user" && worker["state"] == "ready")
          pids.push_back(worker["pid"].get<pid_t>());
    return pids;
  };
  const auto all_logged_in = [&] {
    const auto answer = proxyd->ask(R"({"command":"pools"})");
    for (const auto& pool : answer["result"]["pools"])
      for (const auto& member : pool["members"])
        if (member["logged_in"] != true) return false;
    return workers().size() == kPools;
  };
  ASSERT_TRUE(eventually(all_logged_in)) << proxyd->status();
  const std::size_t before = calls(1, "C_Login");
  tell(1, refuses);
  for (const pid_t pid : workers()) ASSERT_EQ(::kill(pid, SIGKILL), 0);
  const auto has_given_up = [&](const nlohmann::json& member) {
    return member["member"] != "mock1" || member["reason"].get<std::string>().starts_with("it refused proxyd's PIN");
  };
  EXPECT_TRUE(eventually([&] {
    const auto status = proxyd->status();
    return std::ranges::all_of(status["members"], has_given_up);
  }));
  EXPECT_EQ(calls(1, "C_Login"), before + 1);
}

TEST_F(PoolPins, AMemberThatRefusedTheOthersPinIsTheLastToBeAsked) {
  ASSERT_NO_FATAL_FAILURE(start());
  // The first member is in trouble when it is asked, and refuses what the other has accepted.
  tell(0, "C_Login rv=CKR_DEVICE_ERROR times=1\nC_Login rv=CKR_PIN_INCORRECT after=1");
  {
    TestApplication application(*proxyd);
    ASSERT_EQ(application.log_in(application.open(), kMockPin), CKR_OK);
    EXPECT_TRUE(is_quarantined("mock0"));
  }
  EXPECT_EQ(calls(0, "C_Login"), 2u);
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(log_in("wrong"), CKR_PIN_INCORRECT);
    EXPECT_EQ(log_in(kMockPin), CKR_OK);
    if (run == 0) proxyd->restart();
  }
  EXPECT_EQ(calls(0, "C_Login"), 2u);
  // Nor is it asked when it is the only one that is left.
  tell(0, "");
  say("maint", "mock1");
  EXPECT_EQ(log_in(kMockPin), CKR_PIN_INCORRECT);
  EXPECT_EQ(calls(0, "C_Login"), 2u);
  say("ready", "mock0");
  EXPECT_EQ(log_in(kMockPin), CKR_OK);
}

}  // namespace
}  // namespace p11shim
