// The mock itself: what tests rely on when they put it behind a worker.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "mock/control.h"
#include "mock/control_file.h"
#include "mock/functions.h"
#include "mock/loaded_module.h"
#include "pkcs11/names.h"
#include "tests/places.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

const std::string kMockPath = build_dir() + "/tests/libp11mock.so";
const std::string kMock2Path = build_dir() + "/tests/libp11mock-2.so";
constexpr CK_SLOT_ID kSlot = 0x10;

template <class... Arguments>
CK_RV call_with_nothing(CK_RV (*function)(Arguments...)) {
  return function(Arguments{}...);
}

std::vector<CK_RV> every_return_value() {
  std::vector<CK_RV> values{0x80000001, 0x8fffffff, 0xffffffff};
#define NAME(list, name) values.push_back(name);
#include "pkcs11/ckr.def"
#undef NAME
  return values;
}

class Mock : public ::testing::Test {
 protected:
  Mock() { ::setenv("P11MOCK_CONTROL", control_.path().c_str(), 1); }

  CK_SESSION_HANDLE open_session(LoadedModule& module, CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION) {
    EXPECT_EQ(module->C_Initialize(nullptr), CKR_OK);
    CK_SESSION_HANDLE session = 0;
    EXPECT_EQ(module->C_OpenSession(kSlot, flags, nullptr, nullptr, &session), CKR_OK);
    return session;
  }

  CK_OBJECT_HANDLE find_first(LoadedModule& module, CK_SESSION_HANDLE session, CK_OBJECT_CLASS type) {
    CK_ATTRIBUTE attribute{CKA_CLASS, &type, sizeof type};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    EXPECT_EQ(module->C_FindObjectsInit(session, &attribute, 1), CKR_OK);
    EXPECT_EQ(module->C_FindObjects(session, &object, 1, &count), CKR_OK);
    EXPECT_EQ(module->C_FindObjectsFinal(session), CKR_OK);
    return count == 1 ? object : 0;
  }

  PrivateFolder folder_;
  ControlFile control_{folder_.path()};
};

TEST_F(Mock, AnswersEveryFunctionWithEveryReturnValue) {
  LoadedModule module(kMockPath);
  const CK_FUNCTION_LIST_3_0& list = *module.v3();
  for (const CK_RV rv : every_return_value()) {
    if (rv == CKR_OK) continue;
    control_.set("* rv=" + std::to_string(rv));
#define CK_PKCS11_FUNCTION_INFO(name) EXPECT_EQ(call_with_nothing(list.name), rv) << #name;
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
  }
}

TEST_F(Mock, RecordsTheArgumentsThatItReceived) {
  control_.set(control_.record_directive());
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  std::array<CK_BYTE, 4> iv{1, 2, 3, 4};
  std::array<CK_BYTE, 3> aad{9, 8, 7};
  CK_GCM_PARAMS gcm{iv.data(), iv.size(), 32, aad.data(), aad.size(), 128};
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  EXPECT_EQ(module->C_EncryptInit(session, &mechanism, 5), CKR_OK);
  std::array<CK_BYTE, 4> data{'d', 'a', 't', 'a'};
  CK_ULONG size = 0;
  EXPECT_EQ(module->C_Encrypt(session, data.data(), data.size(), nullptr, &size), CKR_OK);

  const std::string recorded = control_.recorded();
  EXPECT_NE(recorded.find(" m(0x1087,[<4:01020304>,0x20,<3:090807>,0x80]) 0x5\n"), recorded.npos) << recorded;
  EXPECT_NE(recorded.find(" <4:64617461> >?\n"), recorded.npos) << recorded;
  EXPECT_EQ(size, data.size());
}

TEST_F(Mock, StampsOutputsWithTheFunctionAndADigestOfItsInputs) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  std::array<std::array<CK_BYTE, 32>, 3> signatures{};
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    CK_BYTE data = i == 2 ? 'y' : 'x';
    CK_ULONG size = signatures[i].size();
    ASSERT_EQ(module->C_SignInit(session, &mechanism, 1), CKR_OK);
    ASSERT_EQ(module->C_Sign(session, &data, 1, signatures[i].data(), &size), CKR_OK);
    ASSERT_EQ(size, signatures[i].size());
    EXPECT_EQ(std::memcmp(signatures[i].data(), "C_Sign:", 7), 0);
  }
  EXPECT_EQ(signatures[0], signatures[1]);
  EXPECT_NE(signatures[0], signatures[2]);
}

TEST_F(Mock, DecryptsWhatItEncrypted) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
  std::array<CK_BYTE, 5> data{'h', 'e', 'l', 'l', 'o'};
  std::array<CK_BYTE, 5> encrypted{};
  std::array<CK_BYTE, 5> decrypted{};
  CK_ULONG size = encrypted.size();
  ASSERT_EQ(module->C_EncryptInit(session, &mechanism, 1), CKR_OK);
  ASSERT_EQ(module->C_Encrypt(session, data.data(), data.size(), encrypted.data(), &size), CKR_OK);
  EXPECT_NE(encrypted, data);
  ASSERT_EQ(module->C_DecryptInit(session, &mechanism, 1), CKR_OK);
  ASSERT_EQ(module->C_Decrypt(session, encrypted.data(), encrypted.size(), decrypted.data(), &size), CKR_OK);
  EXPECT_EQ(decrypted, data);
}

TEST_F(Mock, KeepsTheRulesOfOperations) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  CK_BYTE data = 0;
  std::array<CK_BYTE, 32> digest{};
  CK_ULONG size = 1;
  EXPECT_EQ(module->C_Digest(session, &data, 1, digest.data(), &size), CKR_OPERATION_NOT_INITIALIZED);
  ASSERT_EQ(module->C_DigestInit(session, &mechanism), CKR_OK);
  EXPECT_EQ(module->C_DigestInit(session, &mechanism), CKR_OPERATION_ACTIVE);
  EXPECT_EQ(module->C_Digest(session, &data, 1, digest.data(), &size), CKR_BUFFER_TOO_SMALL);
  EXPECT_EQ(size, digest.size());
  EXPECT_EQ(module->C_Digest(session, &data, 1, digest.data(), &size), CKR_OK);
  EXPECT_EQ(module->C_DigestFinal(session, digest.data(), &size), CKR_OPERATION_NOT_INITIALIZED);
}

TEST_F(Mock, ShowsPrivateObjectsToTheUserOnly) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  EXPECT_EQ(find_first(module, session, CKO_PRIVATE_KEY), 0U);
  CK_UTF8CHAR wrong[] = "4321";
  CK_UTF8CHAR pin[] = "1234";
  EXPECT_EQ(module->C_Login(session, CKU_USER, wrong, 4), CKR_PIN_INCORRECT);
  EXPECT_EQ(module->C_Login(session, CKU_USER, nullptr, 0), CKR_PIN_INCORRECT);
  ASSERT_EQ(module->C_Login(session, CKU_USER, pin, 4), CKR_OK);
  EXPECT_NE(find_first(module, session, CKO_PRIVATE_KEY), 0U);
}

TEST_F(Mock, ReportsEachAttributeAsAsked) {
  control_.set("attribute 0x102 value=cafe\nattribute 0x3 unavailable\nattribute 0x80000001 sensitive\n");
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  const CK_OBJECT_HANDLE certificate = find_first(module, session, CKO_CERTIFICATE);
  std::array<CK_BYTE, 2> id{};
  CK_BYTE small = 0;
  std::array<CK_ATTRIBUTE, 5> attributes{{{CKA_ID, id.data(), id.size()},
                                          {CKA_LABEL, nullptr, 0},
                                          {0x80000001, nullptr, 0},
                                          {CKA_SUBJECT, &small, 1},
                                          {CKA_MODULUS, nullptr, 0}}};
  EXPECT_EQ(module->C_GetAttributeValue(session, certificate, attributes.data(), attributes.size()),
            CKR_ATTRIBUTE_SENSITIVE);
  EXPECT_EQ(id, (std::array<CK_BYTE, 2>{0xca, 0xfe}));
  for (std::size_t i = 1; i < attributes.size(); ++i) {
    EXPECT_EQ(attributes[i].ulValueLen, CK_UNAVAILABLE_INFORMATION) << i;
  }
}

TEST_F(Mock, MakesObjectsFromTemplates) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  char public_label[] = "pub";
  char private_label[] = "priv";
  CK_ATTRIBUTE public_template{CKA_LABEL, public_label, 3};
  CK_ATTRIBUTE private_template{CKA_LABEL, private_label, 4};
  CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0;
  CK_OBJECT_HANDLE private_key = 0;
  ASSERT_EQ(module->C_GenerateKeyPair(session, &mechanism, &public_template, 1, &private_template, 1, &public_key,
                                      &private_key),
            CKR_OK);
  CK_ATTRIBUTE label{CKA_LABEL, nullptr, 0};
  ASSERT_EQ(module->C_GetAttributeValue(session, private_key, &label, 1), CKR_OK);
  EXPECT_EQ(label.ulValueLen, 4U);
  EXPECT_EQ(module->C_DestroyObject(session, public_key), CKR_OK);
  EXPECT_EQ(module->C_DestroyObject(session, public_key), CKR_OBJECT_HANDLE_INVALID);
}

TEST_F(Mock, LiesAboutLengthsWhenTold) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  std::array<CK_BYTE, 64> state{};
  CK_ULONG size = state.size();
  control_.set("C_GetOperationState length=20");
  EXPECT_EQ(module->C_GetOperationState(session, state.data(), &size), CKR_OK);
  EXPECT_EQ(size, 20U);
  control_.set("C_GetOperationState length=20 report=+100");
  size = state.size();
  EXPECT_EQ(module->C_GetOperationState(session, state.data(), &size), CKR_OK);
  EXPECT_EQ(size, 120U);
  EXPECT_EQ(state[20], 0);
}

TEST_F(Mock, WritesOutputsOfAFailingCallWhenTold) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  std::array<CK_BYTE, 8> random{};
  control_.set("C_GenerateRandom rv=0x30");
  EXPECT_EQ(module->C_GenerateRandom(session, random.data(), random.size()), CKR_DEVICE_ERROR);
  EXPECT_EQ(random[0], 0);
  control_.set("C_GenerateRandom rv=0x30 fill");
  EXPECT_EQ(module->C_GenerateRandom(session, random.data(), random.size()), CKR_DEVICE_ERROR);
  EXPECT_EQ(random[0], 'C');
}

TEST_F(Mock, HangsUntilAFileAppears) {
  const auto file = folder_.path() / "go";
  control_.set(control_.record_directive() + "C_GetInfo hang=" + file.string());
  LoadedModule module(kMockPath);
  ASSERT_EQ(module->C_Initialize(nullptr), CKR_OK);
  std::atomic<bool> returned = false;
  std::thread caller([&] {
    CK_INFO info{};
    EXPECT_EQ(module->C_GetInfo(&info), CKR_OK);
    returned = true;
  });
  while (control_.recorded().find("C_GetInfo") == std::string::npos) std::this_thread::yield();
  EXPECT_FALSE(returned);
  std::ofstream(file).close();
  caller.join();
  EXPECT_TRUE(returned);
}

TEST_F(Mock, CrashesOnItsNthCall) {
  control_.set("C_GetInfo crash=exit after=1");
  LoadedModule module(kMockPath);
  ASSERT_EQ(module->C_Initialize(nullptr), CKR_OK);
  CK_INFO info{};
  EXPECT_EXIT(static_cast<void>((module->C_GetInfo(&info), module->C_GetInfo(&info))), ::testing::ExitedWithCode(3),
              "");
}

TEST_F(Mock, CountsCallsOverAllProcesses) {
  control_.set("C_GetInfo rv=0x30 after=1 times=1");
  LoadedModule module(kMockPath);
  ASSERT_EQ(module->C_Initialize(nullptr), CKR_OK);
  CK_INFO info{};
  EXPECT_EXIT(::_exit(module->C_GetInfo(&info) == CKR_OK ? 0 : 1), ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(module->C_GetInfo(&info), CKR_DEVICE_ERROR);
  EXPECT_EQ(module->C_GetInfo(&info), CKR_OK);
}

TEST_F(Mock, LimitsSessions) {
  control_.set("module sessions=1");
  LoadedModule module(kMockPath);
  open_session(module);
  CK_SESSION_HANDLE session = 0;
  EXPECT_EQ(module->C_OpenSession(kSlot, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_SESSION_COUNT);
}

TEST_F(Mock, UsesWideHandlesAndSlots) {
  control_.set("module handles=wide slots=wide");
  LoadedModule module(kMockPath);
  ASSERT_EQ(module->C_Initialize(nullptr), CKR_OK);
  std::array<CK_SLOT_ID, 2> slots{};
  CK_ULONG count = slots.size();
  ASSERT_EQ(module->C_GetSlotList(CK_TRUE, slots.data(), &count), CKR_OK);
  EXPECT_GT(slots[0], CK_SLOT_ID{1} << 56);
  CK_SESSION_HANDLE session = 0;
  ASSERT_EQ(module->C_OpenSession(slots[1], CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_OK);
  EXPECT_GT(session, CK_SESSION_HANDLE{1} << 56);
  EXPECT_GT(find_first(module, session, CKO_CERTIFICATE), CK_OBJECT_HANDLE{1} << 56);
}

TEST_F(Mock, ClaimsAProtectedAuthenticationPath) {
  control_.set("module protected");
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_TOKEN_INFO info{};
  ASSERT_EQ(module->C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_NE(info.flags & CKF_PROTECTED_AUTHENTICATION_PATH, 0U);
  EXPECT_EQ(module->C_Login(session, CKU_USER, nullptr, 0), CKR_OK);
}

TEST_F(Mock, NeedsNoLoginWhenTold) {
  control_.set("module login=no");
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_TOKEN_INFO info{};
  ASSERT_EQ(module->C_GetTokenInfo(kSlot, &info), CKR_OK);
  EXPECT_EQ(info.flags & CKF_LOGIN_REQUIRED, 0U);
  EXPECT_NE(find_first(module, session, CKO_PRIVATE_KEY), 0U);
}

TEST_F(Mock, OffersAnOlderFunctionList) {
  control_.set("module version=2.20\nC_WaitForSlotEvent missing\n");
  LoadedModule module(kMock2Path);
  EXPECT_EQ(module->version.major, 2);
  EXPECT_EQ(module->version.minor, 20);
  EXPECT_EQ(module->C_WaitForSlotEvent, nullptr);
  EXPECT_NE(module->C_Sign, nullptr);
  EXPECT_EQ(module.symbol<void*>("C_GetInterface"), nullptr);
  control_.set("module version=2.1");
  EXPECT_EQ(module.functions()->version.minor, 1);
}

TEST_F(Mock, WritesGeneratedNoncesAndTagsIntoMessageParameters) {
  LoadedModule module(kMockPath);
  const CK_SESSION_HANDLE session = open_session(module);
  CK_MECHANISM mechanism{CKM_AES_GCM, nullptr, 0};
  ASSERT_EQ(module.v3()->C_MessageEncryptInit(session, &mechanism, 1), CKR_OK);
  std::array<CK_BYTE, 12> iv{};
  std::array<CK_BYTE, 16> tag{};
  CK_GCM_MESSAGE_PARAMS gcm{iv.data(), iv.size(), 0, CKG_GENERATE_RANDOM, tag.data(), 128};
  CK_BYTE plain = 'p';
  CK_BYTE cipher = 0;
  CK_ULONG size = 1;
  ASSERT_EQ(module.v3()->C_EncryptMessage(session, &gcm, sizeof gcm, nullptr, 0, &plain, 1, &cipher, &size), CKR_OK);
  EXPECT_EQ(std::memcmp(iv.data(), "C_", 2), 0);
  EXPECT_EQ(std::memcmp(tag.data(), "C_", 2), 0);
  EXPECT_EQ(module.v3()->C_MessageEncryptFinal(session), CKR_OK);
}

TEST_F(Mock, GivesAPlaceToOneCallAfterTheOther) {
  const std::string state = (folder_.path() / "places").string();
  std::atomic<bool> released = false;
  std::atomic<bool> started = false;
  bool released_before = false;
  std::thread second;
  {
    const Place first(state, 0, 1);
    second = std::thread([&] {
      started = true;
      const Place place(state, 0, 1);
      released_before = released;
    });
    while (!started) std::this_thread::yield();
    released = true;
  }
  second.join();
  EXPECT_TRUE(released_before);
}

}  // namespace
}  // namespace p11shim
