// C_InitToken and what else only administrators may do; pools that not everybody sees.
#include <gtest/gtest.h>

#include <cstring>

#include "application.h"
#include "configs.h"

namespace p11shim {
namespace {

class Administration : public testing::Test {
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
  static CK_RV init_token(const TestApplication& application, CK_SLOT_ID slot, const std::string& so_pin,
                          const std::string& label) {
    std::string pin = so_pin;
    CK_UTF8CHAR padded[32];
    std::memset(padded, ' ', sizeof padded);
    std::memcpy(padded, label.data(), label.size());
    return application->C_InitToken(slot, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size(), padded);
  }
  static CK_RV init_pin(const TestApplication& application, CK_SESSION_HANDLE session, std::string pin) {
    return application->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size());
  }
};

TEST_F(Administration, NewTokenIsMadeAndMadeAgainWhenNobodyHasASession) {
  serve(tokens->module_config("tokens = \"*\"\nadmin = true"));
  TestApplication administrator(*proxyd), other(*proxyd);
  CK_SLOT_ID fresh = 0;
  for (const CK_SLOT_ID slot : administrator.slots())
    if ((administrator.token_flags(slot) & CKF_TOKEN_INITIALIZED) == 0) fresh = slot;
  ASSERT_EQ(init_token(administrator, fresh, compare::kSoPin, "third"), CKR_OK);
  const auto slot_of = [](const TestApplication& application, std::string_view label) {
    for (const CK_SLOT_ID slot : application.slots()) {
      CK_TOKEN_INFO info{};
      if (application->C_GetTokenInfo(slot, &info) == CKR_OK &&
          std::string_view(reinterpret_cast<char*>(info.label), sizeof info.label).starts_with(label))
        return slot;
    }
    return CK_SLOT_ID{0xffff};
  };
  const CK_SLOT_ID slot = slot_of(administrator, "third");
  const auto session = administrator.open(true, slot);
  ASSERT_EQ(administrator.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
  ASSERT_EQ(init_pin(administrator, session, compare::kUserPin), CKR_OK);
  EXPECT_EQ(administrator->C_Logout(session), CKR_OK);
  const auto others = other.open(true, slot_of(other, "third"));
  EXPECT_EQ(other.log_in(others, compare::kUserPin), CKR_OK);
  static_cast<void>(other.generate_aes(others, true, "key"));

  EXPECT_EQ(administrator->C_CloseSession(session), CKR_OK);
  EXPECT_EQ(init_token(administrator, slot, compare::kSoPin, "fourth"), CKR_SESSION_EXISTS);
  EXPECT_EQ(other->C_CloseSession(others), CKR_OK);
  EXPECT_EQ(init_token(administrator, slot, "wrong-so-pin", "fourth"), CKR_PIN_INCORRECT);
  EXPECT_EQ(init_token(administrator, slot, compare::kSoPin, "fourth"), CKR_OK);
  const auto again = other.open(true, slot_of(other, "fourth"));
  EXPECT_EQ(other.log_in(again, compare::kUserPin), CKR_USER_PIN_NOT_INITIALIZED);
  EXPECT_TRUE(other.find(again, CKO_SECRET_KEY).empty());
}

TEST_F(Administration, NeedsPermission) {
  serve(tokens->config("", "admin = false"));
  TestApplication application(*proxyd);
  EXPECT_EQ(init_token(application, 0, compare::kSoPin, "mine"), CKR_FUNCTION_REJECTED);
  const auto session = application.open();
  EXPECT_EQ(application.log_in(session, compare::kSoPin, CKU_SO), CKR_FUNCTION_REJECTED);
  EXPECT_EQ(init_pin(application, session, "new-user-pin"), CKR_FUNCTION_REJECTED);
  EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
}

TEST_F(Administration, PoolsThatOneMayNotUseAreNotThere) {
  serve(tokens->config("", "allow = [\"uid:4000000000\"]") +
        "[[member]]\nname = \"hsm2\"\nmodule = \"module\"\ntoken_label = \"second\"\n[[pool]]\nname = \"open\"\nslot = "
        "7\nmembers = [\"hsm2\"]\n");
  TestApplication application(*proxyd);
  EXPECT_EQ(application.slots(), std::vector<CK_SLOT_ID>{7});
  CK_TOKEN_INFO info{};
  EXPECT_EQ(application->C_GetTokenInfo(0, &info), CKR_SLOT_ID_INVALID);
  CK_SESSION_HANDLE session = 0;
  EXPECT_EQ(application->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_SLOT_ID_INVALID);
}

}  // namespace
}  // namespace p11shim
