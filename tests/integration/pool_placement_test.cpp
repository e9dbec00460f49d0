// What a pool never balances, however many members could do it: each key or operation of these kinds runs on one member.
#include <bit>

#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

// As the mock's control file wants a number.
std::string hexadecimal(CK_ULONG value) {
  std::string text;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    text += "0123456789abcdef"[value >> (8 * i + 4) & 15];
    text += "0123456789abcdef"[value >> (8 * i) & 15];
  }
  return text;
}

std::size_t times(const std::string& record, const std::string& function) {
  std::size_t count = 0;
  for (std::size_t at = record.find(' ' + function + ' '); at != std::string::npos;
       at = record.find(' ' + function + ' ', at + 1))
    ++count;
  return count;
}

class PoolPlacement : public ::testing::Test {
 protected:
  void start(const std::string& standing, const std::string& pool_options = {}) {
    rules = standing;
    for (const std::size_t i : {0, 1}) tell(i, "");
    proxyd = std::make_unique<PrivateProxyd>(members.config(kRoundRobin + pool_options));
    proxyd->start();
    application = std::make_unique<TestApplication>(*proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, kMockPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == 2; }));
  }
  void tell(std::size_t member, const std::string& more) {
    members.set(member, rules + members.rules(member).record_directive() + more);
    members.rules(member).forget_record();
  }
  CK_RV sign(CK_OBJECT_HANDLE key, CK_MECHANISM_TYPE type) {
    CK_MECHANISM mechanism{type, nullptr, 0};
    CK_BYTE data[32] = {1}, signature[512];
    CK_ULONG size = sizeof signature;
    const CK_RV rv = (*application)->C_SignInit(session, &mechanism, key);
    return rv != CKR_OK ? rv : (*application)->C_Sign(session, data, sizeof data, signature, &size);
  }
  // With an IV that the module makes.
  CK_RV encrypt_gcm(CK_OBJECT_HANDLE key) {
    CK_GCM_PARAMS params{};
    params.ulTagBits = 128;
    CK_MECHANISM mechanism{CKM_AES_GCM, &params, sizeof params};
    CK_BYTE data[16] = {2}, result[64];
    CK_ULONG size = sizeof result;
    const CK_RV rv = (*application)->C_EncryptInit(session, &mechanism, key);
    return rv != CKR_OK ? rv : (*application)->C_Encrypt(session, data, sizeof data, result, &size);
  }
  std::size_t calls(std::size_t member, const std::string& function) {
    return times(members.rules(member).recorded(), function);
  }
  // Each of two keys that are not one is used on its own member, and nothing is tried on the other.
  void expect_own_member(const std::vector<CK_OBJECT_HANDLE>& keys, CK_MECHANISM_TYPE type) {
    ASSERT_EQ(keys.size(), 2u);
    std::size_t with_first = 2;
    for (const auto key : keys) {
      for (const std::size_t i : {0, 1}) tell(i, "");
      for (int i = 0; i < 6; ++i) EXPECT_EQ(sign(key, type), CKR_OK);
      const std::size_t here = calls(0, "C_Sign") != 0 ? 0 : 1;
      EXPECT_EQ(calls(here, "C_Sign"), 6u);
      EXPECT_EQ(calls(1 - here, "C_Sign"), 0u);
      EXPECT_NE(here, with_first);
      with_first = here;
      // Nobody knows whether the key was used: it is not used again.
      tell(here, "C_Sign rv=CKR_DEVICE_ERROR times=1\n");
      EXPECT_EQ(sign(key, type), CKR_DEVICE_ERROR);
      EXPECT_EQ(calls(here, "C_Sign"), 1u);
      EXPECT_EQ(calls(1 - here, "C_Sign"), 0u);
    }
  }
  static constexpr const char* kRoundRobin =
      "strategy = \"round-robin\"\nprobe = { call = \"none\" }\nbreaker = { failures = 100, percent = 100 }\n";

  MockMembers members{2};
  std::string rules;
  std::unique_ptr<PrivateProxyd> proxyd;
  std::unique_ptr<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
};

TEST_F(PoolPlacement, AnOrdinaryKeyIsBalanced) {
  ASSERT_NO_FATAL_FAILURE(start(""));
  const auto keys = application->find(session, CKO_PRIVATE_KEY, "rsa");
  ASSERT_EQ(keys.size(), 1u);
  for (const std::size_t i : {0, 1}) tell(i, "");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(sign(keys[0], CKM_RSA_PKCS), CKR_OK);
  EXPECT_EQ(calls(0, "C_Sign"), 3u);
  EXPECT_EQ(calls(1, "C_Sign"), 3u);
  tell(0, "C_Sign rv=CKR_DEVICE_ERROR\n");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(sign(keys[0], CKM_RSA_PKCS), CKR_OK);
}

TEST_F(PoolPlacement, KeysOfStatefulSignaturesStayApart) {
  for (const CK_KEY_TYPE type : {CKK_HSS, CKK_XMSS, CKK_XMSSMT}) {
    application.reset();
    ASSERT_NO_FATAL_FAILURE(start("attribute CKA_KEY_TYPE value=" + hexadecimal(type) + "\n"));
    expect_own_member(application->find(session, CKO_PRIVATE_KEY, "rsa"), type == CKK_HSS ? CKM_HSS : CKM_XMSS);
  }
}

TEST_F(PoolPlacement, KeysThatSayHowOftenTheyMayBeUsedStayApart) {
  ASSERT_NO_FATAL_FAILURE(start("attribute CKA_KEYS_REMAINING value=" + hexadecimal(5) + "\n"));
  expect_own_member(application->find(session, CKO_PRIVATE_KEY, "rsa"), CKM_RSA_PKCS);
  // A limit that is not set is none.
  application.reset();
  ASSERT_NO_FATAL_FAILURE(start("attribute CKA_KEYS_REMAINING value=" + hexadecimal(~CK_ULONG{0}) + "\n"));
  EXPECT_EQ(application->find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
}

TEST_F(PoolPlacement, AVendorsCounterIsNamedInTheConfiguration) {
  const std::string rule = "attribute 0x80000200 value=" + hexadecimal(5) + "\n";
  ASSERT_NO_FATAL_FAILURE(start(rule));
  EXPECT_EQ(application->find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u);
  application.reset();
  members.module_options = "counters = [\"0x80000200\"]";
  ASSERT_NO_FATAL_FAILURE(start(rule));
  expect_own_member(application->find(session, CKO_PRIVATE_KEY, "rsa"), CKM_RSA_PKCS);
}

TEST_F(PoolPlacement, NoncesThatAModuleMakesAreMadeByOne) {
  ASSERT_NO_FATAL_FAILURE(start("", "clones = true\n"));
  const auto keys = application->find(session, CKO_SECRET_KEY, "aes");
  ASSERT_EQ(keys.size(), 1u);
  CK_BYTE iv[12] = {1}, data[16] = {2}, result[64];
  const auto encrypt = [&](CK_GCM_PARAMS params) {
    CK_MECHANISM mechanism{CKM_AES_GCM, &params, sizeof params};
    CK_ULONG size = sizeof result;
    const CK_RV rv = (*application)->C_EncryptInit(session, &mechanism, keys[0]);
    return rv != CKR_OK ? rv : (*application)->C_Encrypt(session, data, sizeof data, result, &size);
  };
  CK_GCM_PARAMS own{};
  own.pIv = iv;
  own.ulIvLen = sizeof iv;
  own.ulIvBits = 96;
  own.ulTagBits = 128;
  CK_GCM_PARAMS left{};
  left.ulTagBits = 128;
  for (const std::size_t i : {0, 1}) tell(i, "");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(encrypt(own), CKR_OK);
  EXPECT_EQ(calls(0, "C_Encrypt"), 3u);
  EXPECT_EQ(calls(1, "C_Encrypt"), 3u);
  for (const std::size_t i : {0, 1}) tell(i, "");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(encrypt(left), CKR_OK);
  EXPECT_EQ(calls(0, "C_Encrypt"), 6u);
  EXPECT_EQ(calls(1, "C_Encrypt"), 0u);
  // Messages always.
  CK_MECHANISM mechanism{CKM_AES_GCM, nullptr, 0};
  for (const std::size_t i : {0, 1}) tell(i, "");
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(application->v3().C_MessageEncryptInit(session, &mechanism, keys[0]), CKR_OK);
    EXPECT_EQ(application->v3().C_MessageEncryptFinal(session), CKR_OK);
  }
  EXPECT_EQ(calls(0, "C_MessageEncryptInit"), 4u);
  EXPECT_EQ(calls(1, "C_MessageEncryptInit"), 0u);
}

// A session that has something under way elsewhere is no reason to make them there.
TEST_F(PoolPlacement, NoncesAreMadeByTheirMemberBesideAnotherOperation) {
  ASSERT_NO_FATAL_FAILURE(start("", "clones = true\n"));
  const auto keys = application->find(session, CKO_SECRET_KEY, "aes");
  ASSERT_EQ(keys.size(), 1u);
  CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
  CK_BYTE data[16] = {2}, result[64];
  // Until a digest is under way on the other member.
  for (int i = 0; i < 4; ++i) {
    for (const std::size_t member : {0, 1}) tell(member, "");
    ASSERT_EQ((*application)->C_DigestInit(session, &sha), CKR_OK);
    ASSERT_EQ((*application)->C_DigestUpdate(session, data, sizeof data), CKR_OK);
    ASSERT_EQ((*application)->C_GetSessionInfo(session, std::make_unique<CK_SESSION_INFO>().get()), CKR_OK);
    if (calls(1, "C_DigestInit") == 1) break;
    CK_ULONG size = sizeof result;
    ASSERT_EQ((*application)->C_DigestFinal(session, result, &size), CKR_OK);
  }
  ASSERT_EQ(calls(1, "C_DigestInit"), 1u);
  EXPECT_EQ(encrypt_gcm(keys[0]), CKR_OK);
  EXPECT_EQ(calls(0, "C_Encrypt"), 1u);
  EXPECT_EQ(calls(1, "C_Encrypt"), 0u);
  CK_ULONG size = sizeof result;
  EXPECT_EQ((*application)->C_DigestFinal(session, result, &size), CKR_OK);
  EXPECT_EQ(calls(1, "C_DigestFinal"), 1u);
}

TEST_F(PoolPlacement, TheMemberThatMakesNoncesIsTheSameAfterARestart) {
  for (const std::size_t i : {0, 1}) tell(i, "");
  members.set(0, "C_Initialize rv=CKR_DEVICE_ERROR");
  proxyd = std::make_unique<PrivateProxyd>(members.config(kRoundRobin + std::string("clones = true\n")));
  proxyd->start();
  const auto enter = [&](std::size_t serving) {
    application = std::make_unique<TestApplication>(*proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, kMockPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return members_up(*proxyd) == serving; }));
  };
  ASSERT_NO_FATAL_FAILURE(enter(1));
  EXPECT_EQ(encrypt_gcm(application->one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
  EXPECT_EQ(calls(1, "C_Encrypt"), 1u);
  application.reset();
  proxyd->stop();
  for (const std::size_t i : {0, 1}) tell(i, "");
  proxyd->start();
  ASSERT_NO_FATAL_FAILURE(enter(2));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(encrypt_gcm(application->one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
  EXPECT_EQ(calls(0, "C_Encrypt"), 0u);
  EXPECT_EQ(calls(1, "C_Encrypt"), 4u);
}

class PoolReauthentication : public PoolWrites {};

// A login for one operation belongs to it: the operation stays where it began, and is not begun again elsewhere.
TEST_F(PoolReauthentication, StaysOnItsMember) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"round-robin\"\nreplication = \"wrap\"\n"
                                                           "wrapping_key = \"wrap\"\nmin_copies = 2\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  CK_MECHANISM generation{CKM_EC_KEY_PAIR_GEN, nullptr, 0}, ecdsa{CKM_ECDSA, nullptr, 0};
  CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {9};
  CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, curve, sizeof curve},
                                    flag(CKA_TOKEN, kYes),
                                    flag(CKA_PRIVATE, kNo),
                                    flag(CKA_VERIFY, kYes),
                                    {CKA_ID, id, 1}};
  CK_ATTRIBUTE private_template[] = {flag(CKA_TOKEN, kYes),       flag(CKA_PRIVATE, kYes),
                                     flag(CKA_SIGN, kYes),        flag(CKA_ALWAYS_AUTHENTICATE, kYes),
                                     flag(CKA_EXTRACTABLE, kYes), {CKA_ID, id, 1}};
  CK_OBJECT_HANDLE public_key = 0, key = 0;
  ASSERT_EQ(application->C_GenerateKeyPair(session, &generation, public_template, std::size(public_template),
                                           private_template, std::size(private_template), &public_key, &key),
            CKR_OK)
      << proxyd.log();
  CK_BYTE digest[32] = {1}, signature[64];
  for (int i = 0; i < 6; ++i) {
    CK_ULONG size = sizeof signature;
    ASSERT_EQ(application->C_SignInit(session, &ecdsa, key), CKR_OK);
    ASSERT_EQ(application.log_in(session, compare::kUserPin, CKU_CONTEXT_SPECIFIC), CKR_OK);
    ASSERT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_OK);
    ASSERT_EQ(application->C_VerifyInit(session, &ecdsa, public_key), CKR_OK);
    EXPECT_EQ(application->C_Verify(session, digest, sizeof digest, signature, size), CKR_OK);
    // Without the login it is refused, and no member is blamed for that.
    ASSERT_EQ(application->C_SignInit(session, &ecdsa, key), CKR_OK);
    size = sizeof signature;
    EXPECT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_USER_NOT_LOGGED_IN);
  }
  // Its member fails between the login and the signature.
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_Sign crash=kill times=1");
  CK_ULONG size = sizeof signature;
  ASSERT_EQ(application->C_SignInit(session, &ecdsa, key), CKR_OK);
  ASSERT_EQ(application.log_in(session, compare::kUserPin, CKU_CONTEXT_SPECIFIC), CKR_OK);
  EXPECT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_DEVICE_ERROR);
  // In the login: nobody else is shown the PIN.
  for (const std::size_t member : {0, 1}) members.rules(member).set("");
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_Login crash=kill times=1");
  ASSERT_EQ(application->C_SignInit(session, &ecdsa, key), CKR_OK);
  EXPECT_EQ(application.log_in(session, compare::kUserPin, CKU_CONTEXT_SPECIFIC), CKR_DEVICE_ERROR);
  size = sizeof signature;
  EXPECT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_OPERATION_NOT_INITIALIZED);
  EXPECT_EQ(application.log_in(session, compare::kUserPin, CKU_CONTEXT_SPECIFIC), CKR_OPERATION_NOT_INITIALIZED);
  for (const std::size_t member : {0, 1}) members.rules(member).set("");
  // The session goes on.
  EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
}

}  // namespace
}  // namespace p11shim
