// Keys of one member that look the same and that nothing proves: whoever keeps a handle of one of them never gets the other.
#include "pool_twins.h"

namespace p11shim {
namespace {

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
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
  }
  const CK_BYTE left = GetParam().destroyed == kFirst ? kSecond : kFirst;
  EXPECT_TRUE(eventually([&] { return values(twins(*application, session)) == std::multiset<CK_BYTE>{left}; }));
  for (const auto& [handle, value] : kept) {
    const CK_BYTE now = value_of(*application, session, handle);
    EXPECT_TRUE(now == 0 || now == value) << int{now} << " for " << int{value};
  }
  // Alone it is known again from one process to the next.
  const auto alone = twins(*application, session);
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
  EXPECT_EQ(twins(*application, session), alone);
  // But its handle is not given again when it is the other that is left.
  members.alone(0, [](TestApplication& other, auto its_session) {
    CK_OBJECT_HANDLE key = 0;
    EXPECT_EQ(import_twin(other, its_session, GetParam().destroyed, key), CKR_OK);
  });
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
  ASSERT_EQ(twins(*application, session).size(), 2u);
  destroy(members, left);
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
  EXPECT_TRUE(
      eventually([&] { return values(twins(*application, session)) == std::multiset<CK_BYTE>{GetParam().destroyed}; }));
  for (const auto& [handle, value] : alone) EXPECT_EQ(value_of(*application, session, handle), 0) << int{value};
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

// A new process of a member shows two, one of which was known as the copy of what is destroyed now on the other member.
TEST_F(PoolTwins, WhatMayBeADestroyedKeyIsServedByNoOtherHandle) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_both(application, proxyd, session, first, second));
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    ASSERT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst, kSecond}));
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_TRUE(eventually([&] { return proxyd.log().find("nothing proves which one is meant") != std::string::npos; }))
        << proxyd.log();
    // Nor in the next process, and none was destroyed.
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_FALSE(nobody_owes(proxyd));
    destroy(members, kFirst);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(eventually([&] { return values(twins(application, session)) == std::multiset<CK_BYTE>{kSecond}; }))
        << proxyd.log();
    EXPECT_EQ(value_of(application, session, first), 0);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kSecond}));
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 1u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 0u);
}

// One that was the only one left of those that look the same need not be the one that is meant.
TEST_F(PoolTwins, TheLastOfThemIsNotDestroyedForAnother) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_both(application, proxyd, session, first, second));
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    for (const auto& [handle, value] : twins(application, session))
      if (handle != first && value == kFirst) {
        EXPECT_EQ(application->C_DestroyObject(session, handle), CKR_OK);
      }
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_TRUE(eventually([&] { return proxyd.log().find("nothing proves which one is meant") != std::string::npos; }))
        << proxyd.log();
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 1u);
}

}  // namespace
}  // namespace p11shim
