// Modules with peculiarities, behind shim and proxyd: wide handles and slot ids, older function lists, few
// sessions, keypads, no login, and modules that lie, hang or die.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <thread>

#include "mock/proxied_mock.h"

namespace p11shim {
namespace {

class ProxiedTraits : public ProxiedMockTest {
 protected:
  CK_RV random(CK_SESSION_HANDLE session) {
    std::array<CK_BYTE, 8> bytes{};
    return list().C_GenerateRandom(session, bytes.data(), bytes.size());
  }

  CK_RV sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, std::span<CK_BYTE> signature, CK_ULONG& size) {
    CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
    CK_BYTE data = 'x';
    if (const CK_RV rv = list().C_SignInit(session, &mechanism, key); rv != CKR_OK) return rv;
    size = signature.size();
    return list().C_Sign(session, &data, 1, signature.data(), &size);
  }

  // Until the module's own record shows that the call has reached it.
  void wait_for_record_of(const std::string& function) {
    while (control_.recorded().find(' ' + function + ' ') == std::string::npos) std::this_thread::yield();
  }
};

TEST_F(ProxiedTraits, WideHandlesAndSlotIdsWork) {
  control_.set("module handles=wide slots=wide");
  start();
  EXPECT_LT(slot_, CK_SLOT_ID{1} << 31);
  const CK_SESSION_HANDLE session = open_session();
  ASSERT_EQ(log_in(session), CKR_OK);
  const CK_OBJECT_HANDLE key = find(session, CKO_PRIVATE_KEY);
  ASSERT_NE(key, 0U);
  std::array<CK_BYTE, 64> signature{};
  CK_ULONG size = 0;
  EXPECT_EQ(sign(session, key, signature, size), CKR_OK);
}

TEST_F(ProxiedTraits, OlderFunctionListsWork) {
  control_.set("module version=2.20\nC_SeedRandom missing\n");
  start(kMock2Path);
  const CK_SESSION_HANDLE session = open_session();
  EXPECT_EQ(random(session), CKR_OK);
  CK_BYTE seed = 1;
  EXPECT_EQ(list().C_SeedRandom(session, &seed, 1), CKR_FUNCTION_NOT_SUPPORTED);
  CK_MECHANISM mechanism{CKM_AES_GCM, nullptr, 0};
  EXPECT_EQ(list().C_MessageSignInit(session, &mechanism, find(session, CKO_PUBLIC_KEY)), CKR_FUNCTION_NOT_SUPPORTED);
}

class ProxiedVersions : public ProxiedTraits, public ::testing::WithParamInterface<const char*> {};

TEST_P(ProxiedVersions, HaveTheFunctionsOf30) {
  control_.set("module version=" + std::string(GetParam()));
  start();
  EXPECT_EQ(list().C_SessionCancel(open_session(), CKF_SIGN), CKR_OK);
}
INSTANTIATE_TEST_SUITE_P(, ProxiedVersions, ::testing::Values("3.0", "3.1", "3.2", "3.17"));

TEST_F(ProxiedTraits, TokensWithoutLoginShowPrivateObjects) {
  control_.set("module login=no");
  start();
  EXPECT_NE(find(open_session(), CKO_PRIVATE_KEY), 0U);
}

TEST_F(ProxiedTraits, KeypadLoginsReachTheToken) {
  control_.set("module protected");
  start();
  CK_TOKEN_INFO info{};
  ASSERT_EQ(list().C_GetTokenInfo(slot_, &info), CKR_OK);
  EXPECT_NE(info.flags & CKF_PROTECTED_AUTHENTICATION_PATH, 0U);
  const CK_SESSION_HANDLE session = open_session();
  EXPECT_EQ(list().C_Login(session, CKU_USER, nullptr, 0), CKR_OK);
  EXPECT_NE(find(session, CKO_PRIVATE_KEY), 0U);
}

// Far more virtual sessions than the module has.
TEST_F(ProxiedTraits, FewRealSessionsServeManyVirtualOnes) {
  control_.set("module sessions=4");
  start();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random(open_session()), CKR_OK);
}

TEST_F(ProxiedTraits, UnavailableAttributesArrive) {
  control_.set("attribute CKA_LABEL unavailable\nattribute CKA_ID sensitive\n");
  start();
  const CK_SESSION_HANDLE session = open_session();
  const CK_OBJECT_HANDLE key = find(session, CKO_PUBLIC_KEY);
  std::array<CK_BYTE, 32> room{};
  CK_ATTRIBUTE label{CKA_LABEL, room.data(), room.size()};
  EXPECT_EQ(list().C_GetAttributeValue(session, key, &label, 1), CKR_OK);
  EXPECT_EQ(label.ulValueLen, CK_UNAVAILABLE_INFORMATION);
  std::array<CK_ATTRIBUTE, 2> two{{{CKA_ID, nullptr, 0}, {CKA_KEY_TYPE, nullptr, 0}}};
  EXPECT_EQ(list().C_GetAttributeValue(session, key, two.data(), two.size()), CKR_ATTRIBUTE_SENSITIVE);
  EXPECT_EQ(two[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
  EXPECT_EQ(two[1].ulValueLen, sizeof(CK_ULONG));
}

// A module that says that it wrote more than there is room for must not make anybody copy that much.
TEST_F(ProxiedTraits, LyingLengthsHurtNobody) {
  start();
  const CK_SESSION_HANDLE session = open_session();
  const CK_OBJECT_HANDLE key = find(session, CKO_PUBLIC_KEY);
  for (const char* lie : {"report=+1", "report=+100000", "report=0xffffffffffff", "report=-1"}) {
    control_.set(std::string("C_Sign ") + lie);
    std::array<CK_BYTE, 64> signature{};
    signature.fill(0xee);
    CK_ULONG size = 0;
    sign(session, key, std::span(signature).first(32), size);
    EXPECT_TRUE(std::all_of(signature.begin() + 32, signature.end(), [](CK_BYTE byte) { return byte == 0xee; })) << lie;
    control_.set("");
    EXPECT_EQ(random(open_session()), CKR_OK) << lie;
  }
}

TEST_F(ProxiedTraits, DeathOfTheModuleCostsOneCall) {
  start();
  const CK_SESSION_HANDLE session = open_session();
  for (const char* death : {"crash=segv", "crash=abort", "crash=exit"}) {
    ASSERT_EQ(random(session), CKR_OK) << death;
    control_.set(std::string("C_GenerateRandom times=1 ") + death);
    EXPECT_EQ(random(session), CKR_DEVICE_ERROR) << death;
    EXPECT_EQ(random(session), CKR_OK) << death;
  }
}

TEST_F(ProxiedTraits, AHangingCallHoldsNobodyElseUp) {
  start();
  const auto go = folder_.path() / "go";
  control_.set(control_.record_directive() + "C_SeedRandom hang=" + go.string());
  const CK_SESSION_HANDLE hanging = open_session();
  const CK_SESSION_HANDLE other = open_session();
  std::thread caller([&] {
    CK_BYTE seed = 1;
    EXPECT_EQ(list().C_SeedRandom(hanging, &seed, 1), CKR_OK);
  });
  wait_for_record_of("C_SeedRandom");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(random(other), CKR_OK);
  std::ofstream(go).close();
  caller.join();
}

}  // namespace
}  // namespace p11shim
