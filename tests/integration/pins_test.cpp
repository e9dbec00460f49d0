// Who is logged in, by which PIN, and who asks the HSM.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

constexpr char kWrong[] = "wrong-pin-0";

class Pins : public testing::Test {
 protected:
  std::optional<SofthsmTokens> tokens;
  std::optional<PrivateProxyd> proxyd;
  void SetUp() override {
    if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
    tokens.emplace();
  }
  void serve(const std::string& config) {
    proxyd.emplace(config);
    proxyd->start();
  }
  [[nodiscard]] std::size_t checks() const {
    const std::string log = proxyd->log();
    std::size_t count = 0;
    for (std::size_t at = 0; (at = log.find("hsm/user/checking is ready", at)) != std::string::npos; ++at) ++count;
    return count;
  }
};

TEST_F(Pins, WrongPinOfASecondApplicationIsCountedByTheHsm) {
  serve(tokens->config());
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(second.token_flags() & CKF_USER_PIN_COUNT_LOW, 0u);
  EXPECT_EQ(second.log_in(other, kWrong), CKR_PIN_INCORRECT);
  EXPECT_EQ(checks(), 1u);
  EXPECT_NE(second.token_flags() & CKF_USER_PIN_COUNT_LOW, 0u);
  CK_SESSION_INFO info{};
  EXPECT_EQ(second->C_GetSessionInfo(other, &info), CKR_OK);
  EXPECT_EQ(info.state, CKS_RW_PUBLIC_SESSION);
  // The right one is compared: nobody is started to check it.
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(checks(), 1u);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_USER_ALREADY_LOGGED_IN);
}

TEST_F(Pins, WithoutRecheckTimeTheHsmIsAlwaysAsked) {
  serve(tokens->config("pin_recheck = \"0s\""));
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(checks(), 1u);
}

TEST_F(Pins, ChangedPinCountsForEverybodyAtOnce) {
  serve(tokens->config());
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kUserPin), CKR_OK);
  ASSERT_EQ(first.set_pin(session, compare::kUserPin, "another-pin-1"), CKR_OK);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_PIN_INCORRECT);
  EXPECT_EQ(second.log_in(other, "another-pin-1"), CKR_OK);
  EXPECT_EQ(first->C_Logout(session), CKR_OK);
  EXPECT_EQ(second->C_Logout(other), CKR_OK);
  // Also by somebody who is not logged in, in the public worker, while the user's worker runs.
  ASSERT_EQ(first.set_pin(session, "another-pin-1", "third-pin-2"), CKR_OK);
  EXPECT_EQ(second.log_in(other, "another-pin-1"), CKR_PIN_INCORRECT);
  EXPECT_EQ(second.log_in(other, "third-pin-2"), CKR_OK);
}

// Whether it was changed nobody knows: no PIN is taken for the right one because it was once.
TEST_F(Pins, AChangeThatHangsForgetsThePinAtItsDeadlineAndWhenItEnds) {
  MockModule mock;
  serve(mock.config("", "", "deadline = \"500ms\"\nkeygen_deadline = \"500ms\""));
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, kMockPin), CKR_OK);
  ASSERT_EQ(second.log_in(other, kMockPin), CKR_OK);
  EXPECT_EQ(checks(), 0u) << "it is compared";
  ASSERT_EQ(second->C_Logout(other), CKR_OK);

  const auto gate = mock.file("gate");
  mock.rules.set("C_SetPIN hang=" + gate.string() + " times=1");
  EXPECT_EQ(first.set_pin(session, kMockPin, "5678"), CKR_DEVICE_ERROR);
  EXPECT_EQ(second.log_in(other, kMockPin), CKR_OK);
  EXPECT_EQ(checks(), 1u);
  ASSERT_EQ(second->C_Logout(other), CKR_OK);
  std::ofstream{gate};
  ASSERT_TRUE(eventually([&] { return proxyd->worker("user")["stuck_lanes"] == 0; }));
  second.log_in(other, kMockPin);
  EXPECT_EQ(checks(), 2u);
}

TEST_F(Pins, AChangeInWhichTheWorkerDiesForgetsThePin) {
  MockModule mock;
  serve(mock.config());
  TestApplication first(*proxyd);
  const auto session = first.open();
  ASSERT_EQ(first.log_in(session, kMockPin), CKR_OK);
  mock.rules.set("C_SetPIN crash=kill times=1");
  EXPECT_EQ(first.set_pin(session, kMockPin, "5678"), CKR_DEVICE_ERROR);
  mock.rules.set(mock.rules.record_directive());
  ASSERT_TRUE(eventually([&] {
    CK_BYTE bytes[16];
    (void)first->C_GenerateRandom(session, bytes, sizeof bytes);  // learns that nobody is logged in any more
    return first.log_in(session, kMockPin) == CKR_OK;
  }));
  EXPECT_NE(mock.rules.recorded().find(" C_Login "), std::string::npos);
}

// A worker that was running when a PIN changed may not check PINs any more: a fresh process does, and nobody waits.
TEST_F(Pins, SetPinAfterAChangeLeavesTheCallsOfOthersAlone) {
  MockModule mock;
  serve(mock.config());
  TestApplication changes(*proxyd), works(*proxyd), checks_pin(*proxyd);
  const auto session = changes.open(), working = works.open(), checking = checks_pin.open();
  ASSERT_EQ(changes.log_in(session, kMockPin), CKR_OK);
  ASSERT_EQ(changes.set_pin(session, kMockPin, "5678"), CKR_OK);
  const pid_t worker = proxyd->worker_pid("public");
  const auto gate = mock.file("gate");
  mock.rules.set("C_GenerateRandom hang=" + gate.string() + " times=1");
  auto answer = std::async(std::launch::async, [&] {
    CK_BYTE bytes[16];
    return works->C_GenerateRandom(working, bytes, sizeof bytes);
  });
  ASSERT_TRUE(eventually([&] { return proxyd->worker("public")["busy_lanes"] == 1; }));
  EXPECT_EQ(checks_pin.set_pin(checking, "5678", "9012"), CKR_OK);
  EXPECT_EQ(checks(), 1u);
  std::ofstream{gate};
  EXPECT_EQ(answer.get(), CKR_OK);
  EXPECT_EQ(proxyd->worker_pid("public"), worker);
}

TEST_F(Pins, LastLogoutLogsTheTokenOut) {
  MockModule mock;
  serve(mock.config());
  const auto logouts = [&] {
    std::size_t count = 0;
    const std::string calls = mock.rules.recorded();
    for (std::size_t at = 0; (at = calls.find(" C_Logout ", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, kMockPin), CKR_OK);
  ASSERT_EQ(second.log_in(other, kMockPin), CKR_OK);
  mock.rules.set(mock.rules.record_directive());
  EXPECT_EQ(first->C_Logout(session), CKR_OK);
  EXPECT_EQ(logouts(), 0u);
  EXPECT_EQ(second->C_CloseSession(other), CKR_OK);  // its last one: that logs it out
  EXPECT_TRUE(eventually([&] { return logouts() == 1; }));
  // A logout that fails leaves no worker behind that is logged in.
  ASSERT_EQ(first.log_in(session, kMockPin), CKR_OK);
  mock.rules.set("C_Logout rv=CKR_DEVICE_ERROR");
  EXPECT_EQ(first->C_Logout(session), CKR_OK);
  EXPECT_EQ(first.log_in(session, "wrong"), CKR_PIN_INCORRECT);
}

TEST_F(Pins, NullPinGoesToTheTokensOwnPath) {
  MockModule mock;
  mock.rules.set("module protected");
  serve(mock.config());
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first->C_Login(session, CKU_USER, nullptr, 0), CKR_OK);
  EXPECT_NE(proxyd->status()["members"][0]["reason"], "");  // it could not be logged in again by itself
  mock.rules.set("module protected\n" + mock.rules.record_directive());
  ASSERT_EQ(second->C_Login(other, CKU_USER, nullptr, 0), CKR_OK);
  EXPECT_NE(mock.rules.recorded().find(" C_Login "), std::string::npos);
  EXPECT_EQ(first->C_Logout(session), CKR_OK);
  mock.rules.set("");
  EXPECT_EQ(second->C_Logout(other), CKR_OK);
  EXPECT_EQ(second->C_Login(other, CKU_USER, nullptr, 0), CKR_PIN_INCORRECT);
}

TEST_F(Pins, DaemonLogsInWithThePinOfAFileOrACommand) {
  const std::filesystem::path file = tokens->path() / "pin";
  std::ofstream(file) << compare::kUserPin << "\nnot this\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  for (const std::string& source :
       {"pin_file = \"" + file.string() + "\"", "pin_command = [\"/bin/cat\", \"" + file.string() + "\"]"}) {
    serve(tokens->config("login = \"daemon\"\n" + source));
    TestApplication application(*proxyd), other(*proxyd);
    const auto session = application.open();
    EXPECT_EQ(application.log_in(session, "whatever"), CKR_OK);
    application.generate_aes(session, false, "key");
    EXPECT_EQ(other.log_in(other.open(), "x"), CKR_OK);
    EXPECT_EQ(application.set_pin(session, compare::kUserPin, "another-pin-1"), CKR_FUNCTION_REJECTED);
    proxyd->kill_worker("user");
    CK_RV rv = CKR_DEVICE_ERROR;
    EXPECT_TRUE(eventually([&] { return (application.generate_aes(session, false, "key", true, &rv), rv == CKR_OK); }));
    EXPECT_EQ(application->C_Logout(session), CKR_OK);
  }
}

TEST_F(Pins, StrangersOverTcpGetNeitherTheDaemonsLoginNorAdministration) {
  const std::filesystem::path file = tokens->path() / "pin";
  std::ofstream(file) << compare::kUserPin << "\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  serve("listen.tcp = \"127.0.0.1:0\"\n" +
        tokens->config("login = \"daemon\"\npin_file = \"" + file.string() + "\"", "admin = [\"" + me() + "\"]"));
  std::string tcp;
  for (const auto& endpoint : nlohmann::json(proxyd->status()["endpoints"]))
    if (endpoint.get<std::string>().starts_with("tcp:")) tcp = endpoint;
  ASSERT_FALSE(tcp.empty());
  TestApplication stranger(tcp);
  const auto session = stranger.open();
  EXPECT_EQ(stranger.log_in(session, compare::kUserPin), CKR_FUNCTION_REJECTED);
  EXPECT_EQ(stranger.log_in(session, compare::kSoPin, CKU_SO), CKR_FUNCTION_REJECTED);
  TestApplication known(*proxyd);
  EXPECT_EQ(known.log_in(known.open(), compare::kUserPin), CKR_OK);
}

// It would be a login of the public worker, thus of everybody.
TEST_F(Pins, UserTypesOfAVendorAreRefused) {
  constexpr CK_USER_TYPE kOwnUser = 0x80000001;
  MockModule mock;
  mock.rules.set("module user=0x80000001");
  serve(mock.config());
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  EXPECT_EQ(first.log_in(session, kMockPin, kOwnUser), CKR_USER_TYPE_INVALID);
  CK_UTF8CHAR pin[] = "1234", name[] = "crypto";
  EXPECT_EQ(first.v3().C_LoginUser(session, kOwnUser, pin, 4, name, 6), CKR_USER_TYPE_INVALID);
  EXPECT_TRUE(first.find(session, CKO_PRIVATE_KEY).empty());
  EXPECT_TRUE(second.find(other, CKO_PRIVATE_KEY).empty());
  EXPECT_EQ(first.log_in(session, kMockPin), CKR_OK);
  EXPECT_EQ(first.log_in(session, kMockPin, kOwnUser), CKR_USER_TYPE_INVALID);
  EXPECT_FALSE(first.find(session, CKO_PRIVATE_KEY).empty());
}

// Where it would stay for as long as the HSM thinks.
TEST(PinInAModule, IsLockedWhileTheModuleHasIt) {
#ifdef P11SHIM_SANITIZED
  GTEST_SKIP() << "mlock does nothing here";
#endif
  MockModule mock;
  PrivateProxyd proxyd(mock.config());
  proxyd.start();
  const TestApplication application(proxyd);
  const auto session = application.open();
  const std::filesystem::path go = mock.file("go");
  mock.rules.set("C_Login hang=" + go.string());
  auto login = std::async(std::launch::async, [&] { return application.log_in(session, kMockPin); });
  const auto locked_kib = [&] {
    std::ifstream status("/proc/" + std::to_string(proxyd.worker_pid("user")) + "/status");
    for (std::string word; status >> word;)
      if (word == "VmLck:") return status >> word ? std::stol(word) : -1;
    return -1L;
  };
  EXPECT_TRUE(eventually([&] { return locked_kib() > 0; }));
  std::ofstream(go).put('\n');
  EXPECT_EQ(login.get(), CKR_OK);
  EXPECT_TRUE(eventually([&] { return locked_kib() == 0; }));
}

TEST_F(Pins, SharedWorkerLogsNobodyOutForAnApplicationThatIsNotLoggedIn) {
  serve(tokens->config("isolation = \"shared\""));
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = first.generate_aes(session, true, "key");
  EXPECT_EQ(second->C_Logout(other), CKR_USER_NOT_LOGGED_IN);
  EXPECT_EQ(first.encrypt(session, key), CKR_OK);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(second->C_Logout(other), CKR_OK);
  EXPECT_EQ(second->C_Logout(other), CKR_USER_NOT_LOGGED_IN);
  EXPECT_EQ(first.encrypt(session, key), CKR_OK);
}

TEST_F(Pins, SharedWorkerSetsNoPinForAnApplicationThatIsNotTheSo) {
  serve(tokens->config("isolation = \"shared\"", "admin = [\"" + me() + "\"]"));
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
  CK_UTF8CHAR pin[] = "stolen-pin-3";
  EXPECT_EQ(second->C_InitPIN(other, pin, sizeof pin - 1), CKR_USER_NOT_LOGGED_IN);
  EXPECT_EQ(first->C_Logout(session), CKR_OK);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(second->C_InitPIN(other, pin, sizeof pin - 1), CKR_USER_NOT_LOGGED_IN);
}

TEST_F(Pins, SharedWorkerKeepsPrivateObjectsFromWhoeverIsNotLoggedIn) {
  serve(tokens->config("isolation = \"shared\""));
  TestApplication first(*proxyd), second(*proxyd);
  const auto session = first.open(), other = second.open();
  ASSERT_EQ(first.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = first.generate_aes(session, true, "key");
  EXPECT_EQ(first.encrypt(session, key), CKR_OK);
  EXPECT_TRUE(second.find(other, CKO_SECRET_KEY).empty());
  EXPECT_EQ(second.encrypt(other, key), CKR_OBJECT_HANDLE_INVALID);
  CK_RV rv = CKR_OK;
  static_cast<void>(second.generate_aes(other, true, "mine", true, &rv));
  EXPECT_EQ(rv, CKR_USER_NOT_LOGGED_IN);
  EXPECT_EQ(first.find(session, CKO_SECRET_KEY).size(), 1u);
  EXPECT_EQ(second.log_in(other, kWrong), CKR_PIN_INCORRECT);
  EXPECT_EQ(second.log_in(other, compare::kUserPin), CKR_OK);
  EXPECT_EQ(second.encrypt(other, second.one(other, CKO_SECRET_KEY)), CKR_OK);
}

}  // namespace
}  // namespace p11shim
