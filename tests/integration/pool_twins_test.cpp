// Keys of one member that look the same and that nothing proves: whoever keeps a handle of one of them never gets the other.
#include <map>

#include "pool_writes.h"

namespace p11shim {
namespace {

constexpr CK_BYTE kFirst = 1, kSecond = 2;

class PoolTwins : public PoolWrites {
 protected:
  // May be used for nothing that could prove it, but shows its value to the test.
  static CK_RV import_twin(TestApplication& application, CK_SESSION_HANDLE session, CK_BYTE fill,
                           CK_OBJECT_HANDLE& key) {
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BYTE value[16];
    std::fill(std::begin(value), std::end(value), fill);
    char label[] = "twin";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_VALUE, value, sizeof value},
                           {CKA_LABEL, label, 4},
                           {CKA_CHECK_VALUE, value, 0},  // nor does it show a part of it
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_SIGN, kNo),
                           flag(CKA_VERIFY, kNo),
                           flag(CKA_SENSITIVE, kNo),
                           flag(CKA_EXTRACTABLE, kYes)};
    return application->C_CreateObject(session, tmpl, std::size(tmpl), &key);
  }
  static void import_both(PoolMembers& members) {
    members.alone(0, [](TestApplication& application, auto session) {
      for (const CK_BYTE fill : {kFirst, kSecond}) {
        CK_OBJECT_HANDLE key = 0;
        EXPECT_EQ(import_twin(application, session, fill, key), CKR_OK);
      }
    });
  }
  // The first is copied, the second stays alone.
  static void make_both(TestApplication& application, PrivateProxyd& proxyd, CK_SESSION_HANDLE& session,
                        CK_OBJECT_HANDLE& first, CK_OBJECT_HANDLE& second) {
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(import_twin(application, session, kFirst, first), CKR_OK);
    ASSERT_EQ(import_twin(application, session, kSecond, second), CKR_OK);
    ASSERT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  }
  // Behind the pool's back.
  static void destroy(PoolMembers& members, CK_BYTE fill) {
    members.alone(0, [&](TestApplication& application, auto session) {
      for (const auto key : application.find(session, CKO_SECRET_KEY, "twin"))
        if (value_of(application, session, key) == fill) {
          EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
        }
    });
  }
  // Its bytes are all the same; 0: there is no such object.
  static CK_BYTE value_of(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
    CK_BYTE value[16] = {};
    CK_ATTRIBUTE query{CKA_VALUE, value, sizeof value};
    const CK_RV rv = application->C_GetAttributeValue(session, key, &query, 1);
    EXPECT_TRUE(rv == CKR_OK || rv == CKR_OBJECT_HANDLE_INVALID) << rv;
    return rv == CKR_OK ? value[0] : 0;
  }
  static std::map<CK_OBJECT_HANDLE, CK_BYTE> twins(TestApplication& application, CK_SESSION_HANDLE session) {
    std::map<CK_OBJECT_HANDLE, CK_BYTE> values;
    for (const auto key : application.find(session, CKO_SECRET_KEY, "twin"))
      values[key] = value_of(application, session, key);
    return values;
  }
  static std::multiset<CK_BYTE> values(const std::map<CK_OBJECT_HANDLE, CK_BYTE>& twins) {
    std::multiset<CK_BYTE> all;
    for (const auto& [handle, value] : twins) all.insert(value);
    return all;
  }
};

struct Loss {
  CK_BYTE destroyed;
  bool restarts_proxyd;
};
class PoolTwinsLost : public PoolTwins, public ::testing::WithParamInterface<Loss> {};

TEST_P(PoolTwinsLost, TheOneThatIsLeftIsNotTakenForTheOther) {
  PoolMembers members(2);
  import_both(members);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  const auto kept = twins(*application, session);
  ASSERT_EQ(values(kept), (std::multiset<CK_BYTE>{kFirst, kSecond}));
  if (GetParam().restarts_proxyd) {
    application.reset();
    proxyd.stop();
    destroy(members, GetParam().destroyed);
    proxyd.start();
    application = std::make_unique<TestApplication>(proxyd);
    ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  } else {
    destroy(members, GetParam().destroyed);
    const pid_t worker = member_worker(proxyd, "hsm0");
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return member_worker(proxyd, "hsm0") != worker && all_serve(proxyd); }));
  }
  const CK_BYTE left = GetParam().destroyed == kFirst ? kSecond : kFirst;
  EXPECT_TRUE(eventually([&] { return values(twins(*application, session)) == std::multiset<CK_BYTE>{left}; }));
  for (const auto& [handle, value] : kept) {
    const CK_BYTE now = value_of(*application, session, handle);
    EXPECT_TRUE(now == 0 || now == value) << int{now} << " for " << int{value};
  }
  // Alone it is known again from one process to the next.
  const auto alone = twins(*application, session);
  const pid_t worker = member_worker(proxyd, "hsm0");
  ::kill(worker, SIGKILL);
  ASSERT_TRUE(eventually([&] { return member_worker(proxyd, "hsm0") != worker && all_serve(proxyd); }));
  EXPECT_EQ(twins(*application, session), alone);
}
INSTANTIATE_TEST_SUITE_P(Either, PoolTwinsLost,
                         ::testing::Values(Loss{kFirst, true}, Loss{kSecond, true}, Loss{kFirst, false},
                                           Loss{kSecond, false}));

TEST_F(PoolTwins, ADestructionThatNobodyCanPlaceIsNotDone) {
  PoolMembers members(2);
  import_both(members);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto kept = twins(application, session);
  ASSERT_EQ(kept.size(), 2u);
  members.rules(0).set("C_DestroyObject crash=kill times=1");
  EXPECT_EQ(application->C_DestroyObject(session, kept.begin()->first), CKR_DEVICE_ERROR);
  members.rules(0).set("");
  EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_TRUE(eventually([&] {
    return values(twins(application, session)) == std::multiset<CK_BYTE>{kFirst, kSecond};
  })) << proxyd.log();
  // By a handle of this process it is done.
  const auto now = twins(application, session);
  EXPECT_EQ(application->C_DestroyObject(session, now.begin()->first), CKR_OK);
  EXPECT_EQ(values(twins(application, session)), std::multiset<CK_BYTE>{now.rbegin()->second});
}

// What is copied of one that has a twin might be the other.
TEST_F(PoolTwins, ATwinIsNotCopied) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_both(application, proxyd, session, first, second));
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(value_of(application, session, first), kFirst);
      EXPECT_EQ(value_of(application, session, second), kSecond);
    }
    EXPECT_NE(proxyd.log().find("\"twin\" stays on member hsm0"), std::string::npos);
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 2u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 1u);
}

// A key that looks the same and is on the other member only is none of those that may be left here.
TEST_F(PoolTwins, ACopyThatWasDestroyedWhileItsMemberWasAwayGoesThereToo) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_both(application, proxyd, session, first, second));
    members.rules(1).set("C_Initialize rv=CKR_DEVICE_ERROR");
    for (const char* domain : {"user", "public"}) ::kill(member_worker(proxyd, "hsm1", domain), SIGKILL);
    ASSERT_TRUE(eventually([&] { return !all_serve(proxyd); }));
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    EXPECT_FALSE(nobody_owes(proxyd));
    members.rules(1).set("");
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kSecond}));
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 1u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 0u);
}

}  // namespace
}  // namespace p11shim
