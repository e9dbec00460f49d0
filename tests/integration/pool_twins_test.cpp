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
  // In a new process nothing tells which of those that look the same is which.
  static void start_anew(const PrivateProxyd& proxyd, const std::string& member) {
    const pid_t worker = member_worker(proxyd, member);
    ASSERT_GT(worker, 0);
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return member_worker(proxyd, member) != worker && all_serve(proxyd); }));
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

// What is made beside a copy, and looks like it, leaves the copy what it is.
class PoolTwinsBesideACopy : public PoolTwins, public ::testing::WithParamInterface<bool> {
 protected:
  // By the pool's wrapping key.
  static CK_OBJECT_HANDLE wrapping_key(TestApplication& application, CK_SESSION_HANDLE session) {
    const auto keys = application.find(session, CKO_SECRET_KEY, "wrap");
    return keys.empty() ? CK_INVALID_HANDLE : keys.front();
  }
  // As copies are made: it shows the same as a copy does.
  static CK_RV unwrap_twin(TestApplication& application, CK_SESSION_HANDLE session, std::vector<CK_BYTE> wrapped,
                           CK_OBJECT_HANDLE& key) {
    CK_MECHANISM mechanism{CKM_AES_KEY_WRAP, nullptr, 0};
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    char label[] = "twin";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_LABEL, label, 4},
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_SIGN, kNo),
                           flag(CKA_VERIFY, kNo),
                           flag(CKA_ENCRYPT, kNo),
                           flag(CKA_DECRYPT, kNo),
                           flag(CKA_SENSITIVE, kNo),
                           flag(CKA_EXTRACTABLE, kYes)};
    return application->C_UnwrapKey(session, &mechanism, wrapping_key(application, session), wrapped.data(),
                                    wrapped.size(), tmpl, std::size(tmpl), &key);
  }
};

TEST_P(PoolTwinsBesideACopy, IsNoReasonToForgetTheCopy) {
  const bool is_away = GetParam();  // the copy's member, when the key is destroyed
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(import_twin(application, session, kFirst, first), CKR_OK);
    ASSERT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    CK_MECHANISM mechanism{CKM_AES_KEY_WRAP, nullptr, 0};
    std::vector<CK_BYTE> wrapped(64);
    CK_ULONG size = wrapped.size();
    ASSERT_EQ(
        application->C_WrapKey(session, &mechanism, wrapping_key(application, session), first, wrapped.data(), &size),
        CKR_OK);
    wrapped.resize(size);
    take_away(proxyd, members, 0);
    ASSERT_EQ(unwrap_twin(application, session, wrapped, second), CKR_OK);
    EXPECT_NE(proxyd.log().find("\"twin\" stays on member hsm1"), std::string::npos) << proxyd.log();
    members.rules(0).set("");
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    if (is_away) take_away(proxyd, members, 1);
    else ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    // One that is on one member only, and was copied nowhere, is none of these.
    CK_OBJECT_HANDLE passing = 0;
    ASSERT_EQ(import_twin(application, session, kSecond, passing), CKR_OK);
    EXPECT_EQ(application->C_DestroyObject(session, passing), CKR_OK);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    members.rules(1).set("");
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
    EXPECT_TRUE(eventually([&] { return proxyd.log().find("nothing proves which one is meant") != std::string::npos; }))
        << proxyd.log();
    EXPECT_TRUE(twins(application, session).empty());
    members.alone(1, [](TestApplication& other, auto its_session) {
      EXPECT_EQ(other->C_DestroyObject(its_session, other.find(its_session, CKO_SECRET_KEY, "twin").front()), CKR_OK);
    });
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(eventually([&] { return values(twins(application, session)) == std::multiset<CK_BYTE>{kFirst}; }))
        << proxyd.log();
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst}));
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 0u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 1u);
}
INSTANTIATE_TEST_SUITE_P(Either, PoolTwinsBesideACopy, ::testing::Bool());

}  // namespace
}  // namespace p11shim
