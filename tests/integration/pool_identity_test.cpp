// Which objects a pool takes for one, and which not, whatever its members' modules show and how they fail meanwhile.
#include <sys/resource.h>

#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

// What processes that are started meanwhile have; more than any test may need by right.
class SmallStack {
 public:
  SmallStack() {
    ::getrlimit(RLIMIT_STACK, &before_);
    rlimit small = before_;
    small.rlim_cur = 1 << 20;
    ::setrlimit(RLIMIT_STACK, &small);
  }
  ~SmallStack() { ::setrlimit(RLIMIT_STACK, &before_); }
  SmallStack(const SmallStack&) = delete;
  SmallStack& operator=(const SmallStack&) = delete;

 private:
  rlimit before_{};
};

TEST(PoolIdentity, AnyNumberOfKeysThatNothingProves) {
  constexpr std::size_t kKeys = 8000;
  MockMembers members(2);
  for (const std::size_t i : {0, 1}) members.set(i, "module keys=" + std::to_string(kKeys) + "\n");
  PrivateProxyd proxyd(members.config("probe = { call = \"none\" }\n"));
  {
    const SmallStack small;
    proxyd.start();
  }
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return !proxyd.alive() || members_up(proxyd) == 2; }));
  ASSERT_TRUE(proxyd.alive());
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "key 7999").size(), 2u);
}

TEST(PoolIdentity, AnObjectWithANewHandleOfItsModuleIsNoTwinOfItself) {
  MockMembers members(2);
  PrivateProxyd proxyd(members.config("strategy = \"failover\"\nprobe = { call = \"none\" }\n"));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  const auto keys = application.find(session, CKO_PRIVATE_KEY, "rsa");
  ASSERT_EQ(keys.size(), 1u);
  for (const std::size_t moved : {1000, 2000}) {
    members.set(0, "module moved=" + std::to_string(moved) + "\n");
    // Served by the other member meanwhile.
    for (int i = 0; i < 3; ++i) EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa"), keys);
    // And by this one again when all was listed.
    members.set(1, "C_SignInit rv=CKR_DEVICE_ERROR\n");
    CK_MECHANISM mechanism{CKM_RSA_PKCS, nullptr, 0};
    CK_BYTE data[32] = {1}, signature[512];
    EXPECT_TRUE(eventually([&] {
      CK_ULONG size = sizeof signature;
      return application->C_SignInit(session, &mechanism, keys[0]) == CKR_OK &&
             application->C_Sign(session, data, sizeof data, signature, &size) == CKR_OK;
    }));
    members.set(1, "");
    EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa"), keys);
  }
}

TEST(PoolIdentity, AnObjectOfWhichOnlyAPartCouldBeReadIsNoOther) {
  MockMembers members(2);
  PrivateProxyd proxyd(members.config("probe = { call = \"none\" }\n"));
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  ASSERT_TRUE(eventually([&] { return members_up(proxyd) == 2; }));
  const auto keys = application.find(session, CKO_PUBLIC_KEY, "rsa");
  ASSERT_EQ(keys.size(), 1u);
  for (int spared = 0; spared < 8; ++spared) {
    const pid_t worker = member_worker(proxyd, "mock1");
    ASSERT_GT(worker, 0);
    members.set(1, "C_GetAttributeValue rv=CKR_DEVICE_ERROR times=1 after=" + std::to_string(spared) + "\n");
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return member_worker(proxyd, "mock1") != worker && members_up(proxyd) == 2; }));
    EXPECT_EQ(application.find(session, CKO_PUBLIC_KEY, "rsa"), keys) << spared;
    EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "rsa").size(), 1u) << spared;
  }
}

class PoolIdentityOnSoftHsm : public PoolWrites {};

// Its member serves all others, and pays what it owes.
TEST_F(PoolIdentityOnSoftHsm, AKeyThatMayNotBeCheckedStandsInNobodysWay) {
  PoolMembers members(2);
  members.rules(1).set("C_EncryptInit rv=CKR_GENERAL_ERROR");
  PrivateProxyd proxyd(members.config(kQuick + std::string("replication = \"public\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  application.create_data(session, true, "data", "value");
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(application.find(session, CKO_PRIVATE_KEY, "ec").size(), 1u);
  const auto keys = application.find(session, CKO_SECRET_KEY, "aes");
  EXPECT_EQ(keys.size(), 2u);
  // Once it can be checked it is what it was all the time.
  members.rules(1).set("");
  EXPECT_TRUE(eventually([&] { return application.find(session, CKO_SECRET_KEY, "aes").size() == 1; }));
  EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
}

// Of two keys that may agree on secrets and nothing else, that look the same and show no public part, each keeps its handle.
TEST_F(PoolIdentityOnSoftHsm, KeysThatOnlyAgreeOnSecretsAreToldApart) {
  PoolMembers members(2);
  CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {7};
  char label[] = "agree";
  members.alone(0, [&](TestApplication& application, auto session) {
    CK_MECHANISM generation{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, curve, sizeof curve}, flag(CKA_TOKEN, kNo)};
    CK_ATTRIBUTE private_template[] = {flag(CKA_TOKEN, kYes),  flag(CKA_PRIVATE, kYes), flag(CKA_SIGN, kNo),
                                       flag(CKA_DERIVE, kYes), {CKA_ID, id, sizeof id}, {CKA_LABEL, label, 5}};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    for (int i = 0; i < 2; ++i)
      ASSERT_EQ(
          application->C_GenerateKeyPair(session, &generation, public_template, std::size(public_template),
                                         private_template, std::size(private_template), &public_key, &private_key),
          CKR_OK);
  });
  std::filesystem::remove_all(members.directory(1) / "tokens");
  std::filesystem::copy(members.directory(0) / "tokens", members.directory(1) / "tokens",
                        std::filesystem::copy_options::recursive);
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"round-robin\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto keys = application.find(session, CKO_PRIVATE_KEY, "agree");
  ASSERT_EQ(keys.size(), 2u);
  CK_BYTE point[] = {0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
                     0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
                     0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
                     0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
                     0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
  const auto agree = [&](CK_OBJECT_HANDLE key) {
    CK_ECDH1_DERIVE_PARAMS parameters{CKD_NULL, 0, nullptr, sizeof point, point};
    CK_MECHANISM mechanism{CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_ULONG size = 32;
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_VALUE_LEN, &size, sizeof size},
                           flag(CKA_TOKEN, kNo),
                           flag(CKA_SENSITIVE, kNo),
                           flag(CKA_EXTRACTABLE, kYes)};
    CK_OBJECT_HANDLE secret = 0;
    Bytes value(32);
    CK_ATTRIBUTE query{CKA_VALUE, value.data(), value.size()};
    EXPECT_EQ(application->C_DeriveKey(session, &mechanism, key, tmpl, std::size(tmpl), &secret), CKR_OK);
    EXPECT_EQ(application->C_GetAttributeValue(session, secret, &query, 1), CKR_OK);
    EXPECT_EQ(application->C_DestroyObject(session, secret), CKR_OK);
    return value;
  };
  const std::vector<Bytes> values{agree(keys[0]), agree(keys[1])};
  EXPECT_NE(values[0], values[1]);
  for (int i = 0; i < 4; ++i) {
    for (const std::size_t key : {0, 1, 1, 0}) EXPECT_EQ(agree(keys[key]), values[key]);
    const std::string name = "hsm" + std::to_string(i % 2);
    const pid_t worker = member_worker(proxyd, name);
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return member_worker(proxyd, name) != worker && all_serve(proxyd); }));
  }
}

}  // namespace
}  // namespace p11shim
