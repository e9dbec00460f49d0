// What a member in trouble costs those that are not.
#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

std::string state_of(const PrivateProxyd& proxyd, std::size_t member) {
  return proxyd.ask("{\"command\":\"pools\"}")["result"]["pools"][0]["members"][member]["state"].get<std::string>();
}

CK_OBJECT_HANDLE make_data(TestApplication& application, CK_SESSION_HANDLE session) {
  return application.create_data(session, false, "mine", "value");
}

// A member that is ejected is not asked by a search, unless the application has session objects there.
TEST(PoolTrouble, SearchesDoNotWaitForAMemberThatIsEjected) {
  MockMembers members(2);
  const compare::PrivateDirectory directory;
  const std::string gate = (directory.path() / "go").string();
  PrivateProxyd proxyd(
      members.config("strategy = \"failover\"\nattempt_timeout = \"1h\"\nprobe = { call = \"none\" "
                     "}\nbreaker = { failures = 1, open_min = \"1h\", open_max = \"1h\" }\n"));
  proxyd.start();
  TestApplication application(proxyd), other(proxyd);
  const auto session = application.open(), others = other.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_EQ(other.log_in(others, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  const auto key = application.one(session, CKO_PRIVATE_KEY, "rsa");
  ASSERT_NE(make_data(application, session), CK_INVALID_HANDLE);  // on the first
  members.set(0, "C_SignInit rv=CKR_DEVICE_ERROR");
  CK_MECHANISM mechanism{CKM_RSA_PKCS, nullptr, 0};
  CK_BYTE data[32] = {1}, signature[512];
  CK_ULONG size = sizeof signature;
  ASSERT_EQ(application->C_SignInit(session, &mechanism, key), CKR_OK);
  ASSERT_EQ(application->C_Sign(session, data, sizeof data, signature, &size), CKR_OK);
  ASSERT_EQ(state_of(proxyd, 0), "ejected");
  members.set(0, "C_FindObjectsInit hang=" + gate);
  EXPECT_EQ(other.find(others, CKO_PRIVATE_KEY, "rsa"), std::vector{key});
  members.set(0, "");
  EXPECT_EQ(application.find(session, CKO_DATA, "mine").size(), 1u);
  EXPECT_EQ(other.find(others, CKO_DATA, "mine").size(), 0u);
}

// What broke in one process of the module is over with that process, and nobody has to start it anew by hand.
TEST(PoolTrouble, AModuleThatAnswersProbesWithErrorsOnlyIsStartedAnew) {
  MockMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  ASSERT_EQ(application.log_in(application.open(), kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  const auto pids = [&] {
    std::set<int> all;
    const auto status = member_status(proxyd, "mock1");
    for (const auto& worker : status["workers"]) all.insert(worker["pid"].get<int>());
    return all;
  };
  const std::set<int> before = pids();
  ASSERT_EQ(before.size(), 2u);
  members.set(1, "C_GetTokenInfo rv=CKR_GENERAL_ERROR");
  EXPECT_TRUE(eventually([&] { return state_of(proxyd, 1) == "ejected"; }));
  EXPECT_TRUE(eventually([&] {
    const std::set<int> now = pids();
    return std::ranges::none_of(before, [&](int pid) { return now.contains(pid); });
  })) << proxyd.log();
  members.set(1, "");
  EXPECT_TRUE(eventually([&] { return members_up(proxyd) == 2; })) << proxyd.log();
}

// Its file is no module for a while: the start fails before anything is started.
TEST(PoolTrouble, ALoginOutlivesAWorkerThatCannotEvenBeStarted) {
  const compare::PrivateDirectory directory;
  const auto module = directory.path() / "module.so", away = directory.path() / "away.so";
  std::filesystem::copy_file(build_dir() + "/tests/libp11mock.so", module);
  std::ofstream{directory.path() / "control"};
  PrivateProxyd proxyd("[[module]]\nname = \"m\"\ntokens = \"*\"\ncheck_owner = false\npath = \"" + module.string() +
                       "\"\nenvironment = { P11MOCK_CONTROL = \"" + (directory.path() / "control").string() + "\" }\n");
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open(true, application.slots().at(0));
  std::filesystem::rename(module, away);
  std::thread caller([&] { application.log_in(session, kMockPin); });
  EXPECT_TRUE(eventually([&] { return count(proxyd.log(), "did not start") >= 2; })) << proxyd.log();
  std::filesystem::rename(away, module);
  caller.join();
  EXPECT_TRUE(eventually([&] {
    const CK_RV rv = application.log_in(session, kMockPin);
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
  })) << proxyd.log();
}

// It is tried again less and less often, searches do not wait for it, and it serves when it can.
TEST(PoolTrouble, AMemberThatCannotBeLoggedInIsNotAskedAllTheTime) {
  MockMembers members(2);
  PrivateProxyd proxyd(members.config("attempt_timeout = \"1h\"\nprobe = { interval = \"100ms\" }\n"));
  members.set(0, members.rules(0).record_directive());
  members.set(1, members.rules(1).record_directive() + "C_Login rv=CKR_DEVICE_ERROR");
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  const auto logins = [&] { return count(members.rules(1).recorded(), " C_Login "); };
  const auto probes = [&] { return count(members.rules(0).recorded(), " C_GetTokenInfo "); };
  ASSERT_TRUE(eventually([&] { return logins() >= 3; }));
  EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
  const std::size_t before = probes();
  ASSERT_TRUE(eventually([&] { return probes() >= before + 40; }));
  EXPECT_LE(logins(), 14u);
  EXPECT_NE(proxyd.log().find("member mock1 cannot be logged in"), std::string::npos);
  members.set(1, "");
  EXPECT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
}

}  // namespace
}  // namespace p11shim
