// Tokens of a pool as a whole: initialised on all members, named users, mechanisms of members that differ.
#include <map>

#include "mixed_members.h"
#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

bool says(const std::string& text, const std::string& line) { return text.find(line) != std::string::npos; }

class PoolTokenInit : public PoolWrites {
 protected:
  static CK_RV init(TestApplication& application, std::string pin, std::string label = "pool") {
    label.resize(32, ' ');
    return application->C_InitToken(0, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size(),
                                    reinterpret_cast<CK_UTF8CHAR*>(label.data()));
  }
  static CK_RV init_pin(TestApplication& application, CK_SESSION_HANDLE session, std::string pin) {
    return application->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
  }
  static void take_away_public(PrivateProxyd& proxyd, PoolMembers& members, std::size_t member) {
    members.rules(member).set("C_Initialize rv=CKR_DEVICE_ERROR");
    const std::string name = "hsm" + std::to_string(member);
    ASSERT_GT(member_worker(proxyd, name, "public"), 0);
    ::kill(member_worker(proxyd, name, "public"), SIGKILL);
    ASSERT_TRUE(eventually([&] { return member_worker(proxyd, name, "public") <= 0; }));
  }
  [[nodiscard]] std::string admin() const { return kQuick + ("admin = [\"" + me() + "\"]\n"); }
};

TEST_F(PoolTokenInit, InitialisesAllMembersOrNone) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(admin()));
  proxyd.start();
  {
    TestApplication application(proxyd);
    const auto session = application.open();
    EXPECT_EQ(init(application, compare::kSoPin), CKR_SESSION_EXISTS);
    ASSERT_EQ(application->C_CloseSession(session), CKR_OK);
    EXPECT_EQ(init(application, "wrong"), CKR_PIN_INCORRECT);  // the first member's answer; the other was not asked
    EXPECT_FALSE(says(proxyd.log(), "C_InitToken was done on"));
  }
  for (const std::size_t member : {0, 1}) EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY).size(), 1u);
  {
    TestApplication application(proxyd);
    ASSERT_NO_FATAL_FAILURE(take_away_public(proxyd, members, 1));
    EXPECT_EQ(init(application, compare::kSoPin), CKR_DEVICE_ERROR);
    EXPECT_TRUE(says(proxyd.log(), "C_InitToken refused: member hsm1 cannot be reached"));
    members.rules(1).set("");
    ASSERT_TRUE(eventually([&] { return init(application, compare::kSoPin) == CKR_OK; })) << proxyd.log();

    const auto session = application.open();
    EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_USER_PIN_NOT_INITIALIZED);
    ASSERT_EQ(application.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
    EXPECT_EQ(init_pin(application, session, "new-pin"), CKR_OK);
    ASSERT_EQ(application->C_Logout(session), CKR_OK);
    ASSERT_EQ(application.log_in(session, "new-pin"), CKR_OK);
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
    EXPECT_TRUE(application.find(session, CKO_PRIVATE_KEY).empty());
    EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
    CK_TOKEN_INFO info{};
    ASSERT_EQ(application->C_GetTokenInfo(0, &info), CKR_OK);
    EXPECT_EQ(std::string(reinterpret_cast<char*>(info.label), 5), "pool ");
    application.generate_aes(session, true, "after");
  }
  // The members are found again after a restart.
  proxyd.restart();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = application.open();
  ASSERT_EQ(application.log_in(session, "new-pin"), CKR_OK);
  ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "after").size(), 1u);
}

TEST_F(PoolTokenInit, FlagsAreThoseAfterTheLastLoginOrPinChange) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(admin() + "strategy = \"failover\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  EXPECT_NE(application.token_flags() & CKF_USER_PIN_INITIALIZED, 0u);
  ASSERT_EQ(init(application, compare::kSoPin), CKR_OK) << proxyd.log();
  EXPECT_EQ(application.token_flags() & CKF_USER_PIN_INITIALIZED, 0u);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
  ASSERT_EQ(init_pin(application, session, "new-pin"), CKR_OK);
  EXPECT_NE(application.token_flags() & CKF_USER_PIN_INITIALIZED, 0u);
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  // Of one member, which is warning enough.
  EXPECT_EQ(application.token_flags() & CKF_USER_PIN_COUNT_LOW, 0u);
  EXPECT_EQ(application.log_in(session, "wrong"), CKR_PIN_INCORRECT);
  EXPECT_NE(application.token_flags() & CKF_USER_PIN_COUNT_LOW, 0u);
  EXPECT_EQ(application.token_flags() & CKF_SO_PIN_COUNT_LOW, 0u);
  ASSERT_EQ(application.log_in(session, "new-pin"), CKR_OK);
  EXPECT_EQ(application.token_flags() & CKF_USER_PIN_COUNT_LOW, 0u);
}

// It may take as long as a call of an application that makes a key.
TEST_F(PoolTokenInit, OutlastsTheDeadlineOfOtherCalls) {
  PoolMembers members(2);
  PrivateProxyd proxyd("[limits]\ndeadline = \"500ms\"\nkeygen_deadline = \"1m\"\n" + members.config(admin()));
  proxyd.start();
  TestApplication application(proxyd);
  members.rules(1).set("C_InitToken latency=3s");
  EXPECT_EQ(init(application, compare::kSoPin), CKR_OK) << proxyd.log();
}

TEST_F(PoolTokenInit, SaysOnWhichMembersItWasDone) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(admin()));
  proxyd.start();
  TestApplication application(proxyd);
  members.rules(1).set("C_InitToken rv=CKR_DEVICE_ERROR");
  EXPECT_EQ(init(application, compare::kSoPin), CKR_DEVICE_ERROR);
  EXPECT_TRUE(says(proxyd.log(), "member hsm1: C_InitToken: CKR_DEVICE_ERROR")) << proxyd.log();
  EXPECT_TRUE(says(proxyd.log(), "C_InitToken was done on hsm0 only"));
  members.rules(1).set("");
  EXPECT_EQ(init(application, compare::kSoPin), CKR_OK) << proxyd.log();
}

TEST_F(PoolTokenInit, NeedsAdmin) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  EXPECT_EQ(init(application, compare::kSoPin), CKR_FUNCTION_REJECTED);
}

class PoolUsers : public ::testing::Test {
 protected:
  void start() {
    for (const std::size_t i : {0, 1}) tell(i, "");
    proxyd = std::make_unique<PrivateProxyd>(members.config("strategy = \"failover\"\n"));
    proxyd->start();
  }
  void tell(std::size_t member, const std::string& rule) {
    members.set(member, members.rules(member).record_directive() + rule);
    members.rules(member).forget_record();
  }
  static CK_RV log_in(TestApplication& application, CK_SESSION_HANDLE session, std::string pin, std::string name) {
    return application.v3().C_LoginUser(session, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size(),
                                        reinterpret_cast<CK_UTF8CHAR*>(name.data()), name.size());
  }
  bool logged_in(std::size_t member) {
    const auto answer = proxyd->ask("{\"command\":\"pools\"}");
    return answer["result"]["pools"][0]["members"][member]["logged_in"] == true;
  }
  std::string recorded(std::size_t member) { return members.rules(member).recorded(); }

  MockMembers members{2};
  std::unique_ptr<PrivateProxyd> proxyd;
};

TEST_F(PoolUsers, ANamedUserIsLoggedInOnAllMembers) {
  ASSERT_NO_FATAL_FAILURE(start());
  TestApplication application(*proxyd);
  const auto session = application.open();
  EXPECT_EQ(log_in(application, session, "wrong", "alice"), CKR_PIN_INCORRECT);
  EXPECT_FALSE(says(recorded(1), "C_LoginUser"));  // the first refused it
  ASSERT_EQ(log_in(application, session, kMockPin, "alice"), CKR_OK);
  EXPECT_TRUE(eventually([&] { return logged_in(0) && logged_in(1); }));
  for (const std::size_t i : {0, 1}) {
    EXPECT_TRUE(says(recorded(i), "C_LoginUser")) << i;
    EXPECT_FALSE(says(recorded(i), " C_Login ")) << i;
  }
  EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
  // Another application: the same user, not another one.
  TestApplication other(*proxyd);
  const auto theirs = other.open();
  EXPECT_EQ(log_in(other, theirs, kMockPin, "bob"), CKR_USER_TOO_MANY_TYPES);
  EXPECT_EQ(other.log_in(theirs, kMockPin), CKR_USER_TOO_MANY_TYPES);
  EXPECT_EQ(log_in(other, theirs, "wrong", "alice"), CKR_PIN_INCORRECT);
  EXPECT_EQ(log_in(other, theirs, kMockPin, "alice"), CKR_OK);
  // A member whose worker dies is logged in again as that user.
  tell(0, "");
  const pid_t worker = [&] {
    const auto status = proxyd->status();
    for (const auto& member : status["members"])
      for (const auto& each : member["workers"])
        if (member["member"] == "mock0" && each["domain"] == "user") return each["pid"].get<pid_t>();
    return pid_t{0};
  }();
  ASSERT_GT(worker, 0);
  ::kill(worker, SIGKILL);
  EXPECT_TRUE(eventually([&] { return says(recorded(0), "C_LoginUser") && logged_in(0); }));
  EXPECT_FALSE(says(recorded(0), " C_Login "));
  EXPECT_EQ(application->C_Logout(session), CKR_OK);
  EXPECT_EQ(other->C_Logout(theirs), CKR_OK);
  // Then anybody else may.
  EXPECT_EQ(log_in(application, session, kMockPin, "bob"), CKR_OK);
}

TEST_F(PoolUsers, AMemberWithoutNamedUsersIsNotUsedMeanwhile) {
  ASSERT_NO_FATAL_FAILURE(start());
  tell(0, "C_LoginUser rv=CKR_FUNCTION_NOT_SUPPORTED");
  TestApplication application(*proxyd);
  const auto session = application.open();
  ASSERT_EQ(log_in(application, session, kMockPin, "alice"), CKR_OK);
  EXPECT_TRUE(logged_in(1));
  EXPECT_TRUE(eventually([&] {
    return says(proxyd->log(), "member mock0 is not used by those who are logged in: it has not the named user");
  }));
  EXPECT_FALSE(logged_in(0));
  EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  // It is again, by those without a name.
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  EXPECT_TRUE(eventually([&] { return logged_in(0) && logged_in(1); }));
  ASSERT_EQ(application->C_Logout(session), CKR_OK);
  tell(1, "C_LoginUser rv=CKR_FUNCTION_NOT_SUPPORTED");
  EXPECT_EQ(log_in(application, session, kMockPin, "alice"), CKR_FUNCTION_NOT_SUPPORTED);
}

using MechanismInfos = std::map<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>;

MechanismInfos mechanisms(const PrivateProxyd& proxyd, CK_SLOT_ID slot = 0) {
  TestApplication application(proxyd);
  CK_ULONG count = 0;
  std::vector<CK_MECHANISM_TYPE> types;
  CK_RV rv = CKR_BUFFER_TOO_SMALL;
  // A member that comes in between brings more of them.
  for (int attempt = 0; attempt < 10 && rv == CKR_BUFFER_TOO_SMALL; ++attempt) {
    EXPECT_EQ(application->C_GetMechanismList(slot, nullptr, &count), CKR_OK);
    types.resize(count);
    rv = application->C_GetMechanismList(slot, types.data(), &count);
  }
  EXPECT_EQ(rv, CKR_OK);
  types.resize(rv == CKR_OK ? count : 0);
  MechanismInfos infos;
  for (const auto type : types) EXPECT_EQ(application->C_GetMechanismInfo(slot, type, &infos[type]), CKR_OK) << type;
  return infos;
}

// Over SoftHSM and NSS, which differ in most of it. What each says alone is the truth.
class PoolMechanisms : public ::testing::Test {
 protected:
  static MechanismInfos combined(MixedMembers& members, const std::string& option) {
    PrivateProxyd proxyd(members.config(option));
    proxyd.start();
    {
      TestApplication application(proxyd);
      application->C_CloseSession(application.open());
    }
    return mechanisms(proxyd);
  }
};

// Also when a member is away that was there before, and with what its module has learnt since.
TEST_F(PoolMechanisms, AreTheSameWhileAMemberIsAway) {
  if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  PoolMembers members(2);
  members.rules(1).set("C_GetMechanismInfo rv=CKR_MECHANISM_INVALID after=7");
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  EXPECT_EQ(mechanisms(proxyd).size(), 7u);
  members.rules(1).set("C_Initialize rv=CKR_DEVICE_ERROR");
  proxyd.restart();
  EXPECT_EQ(mechanisms(proxyd).size(), 7u);
  members.rules(1).set("");
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_TRUE(eventually([&] { return mechanisms(proxyd).size() > 40; }));
}

TEST_F(PoolMechanisms, AreThoseOfAllOrOfAny) {
  if (!MixedMembers::installed()) GTEST_SKIP() << "softhsm2 or NSS is not installed";
  MixedMembers members;
  std::string apart = members.config();
  apart.resize(apart.find("[[pool]]"));
  apart +=
      "[[pool]]\nname = \"soft\"\nslot = 1\nmembers = [\"soft\"]\n[[pool]]\nname = \"nss\"\nslot = "
      "2\nmembers = [\"nss\"]\n";
  MechanismInfos soft, nss;
  {
    PrivateProxyd proxyd(apart);
    proxyd.start();
    soft = mechanisms(proxyd, 1);
    nss = mechanisms(proxyd, 2);
  }
  MechanismInfos all, common;
  for (const auto* each : {&soft, &nss})
    for (const auto& [type, info] : *each) {
      const auto other = (each == &soft ? nss : soft).find(type);
      all[type] = info;
      if (other == (each == &soft ? nss : soft).end()) continue;
      const CK_MECHANISM_INFO& its = other->second;
      // Who states no largest size says nothing of sizes.
      CK_MECHANISM_INFO strictest = info.ulMaxKeySize != 0 ? info : its, widest = strictest;
      if (info.ulMaxKeySize != 0 && its.ulMaxKeySize != 0) {
        strictest.ulMinKeySize = std::max(info.ulMinKeySize, its.ulMinKeySize);
        strictest.ulMaxKeySize = std::min(info.ulMaxKeySize, its.ulMaxKeySize);
        widest.ulMinKeySize = std::min(info.ulMinKeySize, its.ulMinKeySize);
        widest.ulMaxKeySize = std::max(info.ulMaxKeySize, its.ulMaxKeySize);
      }
      strictest.flags = info.flags & its.flags;
      widest.flags = info.flags | its.flags;
      if (strictest.ulMinKeySize <= strictest.ulMaxKeySize) common[type] = strictest;
      all[type] = widest;
    }
  ASSERT_GT(soft.size(), common.size());
  ASSERT_GT(nss.size(), common.size());
  const auto expect_same = [](const MechanismInfos& shown, const MechanismInfos& expected) {
    EXPECT_EQ(shown.size(), expected.size());
    for (const auto& [type, info] : expected) {
      ASSERT_TRUE(shown.contains(type)) << type;
      const CK_MECHANISM_INFO& its = shown.at(type);
      EXPECT_EQ(its.ulMinKeySize, info.ulMinKeySize) << type;
      EXPECT_EQ(its.ulMaxKeySize, info.ulMaxKeySize) << type;
      EXPECT_EQ(its.flags, info.flags) << type;
    }
  };
  expect_same(combined(members, ""), common);  // the default
  expect_same(combined(members, "mechanisms = \"intersection\"\n"), common);
  expect_same(combined(members, "mechanisms = \"union\"\n"), all);
}

}  // namespace
}  // namespace p11shim
