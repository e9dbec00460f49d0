// Copies of keys that nothing proves, on members where others look the same: what may be a destroyed key is served by no handle, and
// none is destroyed in the place of another.
#include "pool_twins.h"

namespace p11shim {
namespace {

// What is made beside a copy, and looks like it, leaves the copy what it is.
class PoolTwinsBesideACopy : public PoolTwinsSeenLater, public ::testing::WithParamInterface<bool> {};

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
    ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
    const auto copied = wrapped(application, session, first);
    ASSERT_NO_FATAL_FAILURE(make_beside(application, proxyd, members, session, copied, second));
    EXPECT_NE(proxyd.log().find("\"twin\" stays on member hsm1"), std::string::npos) << proxyd.log();
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
    EXPECT_TRUE(eventually([&] { return is_told(proxyd); })) << proxyd.log();
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

// One of the two that hsm1 has is a copy of the key that is destroyed, the other nobody has destroyed. When it is destroyed hsm1 is
// asked, or is not since it shows another key that was destroyed.
TEST_P(PoolTwinsBesideACopy, IsOwedInTheNextProcessToo) {
  const bool is_quarantined = GetParam();
  const auto told_of_return = [](const PrivateProxyd& proxyd) {
    return proxyd.log().find("restored from an older backup") != std::string::npos;
  };
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, gone = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(import_twin(application, session, kFirst, first), CKR_OK);
    if (is_quarantined) {
      ASSERT_EQ(import_proven(application, session, gone), CKR_OK);
    }
    ASSERT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    if (is_quarantined) {
      EXPECT_EQ(application->C_DestroyObject(session, gone), CKR_OK);
      members.alone(1, [](TestApplication& other, auto its_session) {
        CK_OBJECT_HANDLE again = 0;
        EXPECT_EQ(import_proven(other, its_session, again), CKR_OK);
      });
    }
    import_beside(members);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    if (is_quarantined) {
      ASSERT_TRUE(eventually([&] { return told_of_return(proxyd); })) << proxyd.log();
    } else {
      ASSERT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst, kSecond}));
    }
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_TRUE(eventually([&] { return is_told(proxyd); })) << proxyd.log();
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_FALSE(nobody_owes(proxyd));
    destroy(members, kFirst, 1);
    if (!is_quarantined) sync(proxyd, false);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    if (is_quarantined) {  // again, since its new process has shown it
      EXPECT_TRUE(eventually([&] { return sync(proxyd)["members"][1]["destroys_again"] != 0; }));
    }
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(eventually([&] { return values(twins(application, session)) == std::multiset<CK_BYTE>{kSecond}; }))
        << proxyd.log();
    EXPECT_EQ(value_of(application, session, first), 0);
    EXPECT_EQ(told_of_return(proxyd), is_quarantined) << proxyd.log();
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 1u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("gone"), 0u);
}

class PoolTwinsBack : public PoolTwins {
 protected:
  // hsm0 shows two where none may be, one of which nobody has destroyed; the operator has them destroyed.
  static void sync_both(TestApplication& application, PrivateProxyd& proxyd, PoolMembers& members,
                        CK_SESSION_HANDLE& session, CK_OBJECT_HANDLE& first) {
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(import_twin(application, session, kFirst, first), CKR_OK);
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    import_both(members);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    EXPECT_TRUE(eventually([&] { return proxyd.log().find("restored from an older backup") != std::string::npos; }));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return is_told(proxyd); })) << proxyd.log();
    EXPECT_FALSE(nobody_owes(proxyd));
    EXPECT_TRUE(twins(application, session).empty());
  }
  static std::string config(const PoolMembers& members) {
    return members.config(std::string(kQuick) + "strategy = \"failover\"\n");
  }
};

TEST_F(PoolTwinsBack, WhatMayNotHaveComeBackIsNotDestroyed) {
  PoolMembers members(2);
  PrivateProxyd proxyd(config(members));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0;
    ASSERT_NO_FATAL_FAILURE(sync_both(application, proxyd, members, session, first));
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
}

TEST_F(PoolTwinsBack, WhatIsMadeBesideThemStays) {
  constexpr CK_BYTE kThird = 3;
  PoolMembers members(2);
  PrivateProxyd proxyd(config(members));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, third = 0;
    ASSERT_NO_FATAL_FAILURE(sync_both(application, proxyd, members, session, first));
    ASSERT_EQ(import_twin(application, session, kThird, third), CKR_OK);
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kThird}));
    destroy(members, kFirst);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm0"));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(eventually([&] {
      return values(twins(application, session)) == std::multiset<CK_BYTE>{kSecond, kThird};
    })) << proxyd.log();
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 2u);
}

// A new process of hsm1 shows two. What cannot be read when they are listed first has not come since: the other need not be the copy.
TEST_F(PoolTwinsSeenLater, OneThatIsKnownLaterIsNotTheOther) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE first = 0;
  ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
  import_beside(members);
  for (int spared = 4; spared < 22; spared += 2) {
    members.rules(1).set("C_GetAttributeValue rv=CKR_OBJECT_HANDLE_INVALID times=6 after=" + std::to_string(spared));
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    members.rules(1).set("");
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst, kSecond}))
        << spared << proxyd.log();
  }
}

// What was made beside the copy is gone again, behind the pool's back: the copy alone is there in the next process.
TEST_F(PoolTwinsSeenLater, TheOneThatIsLeftMayBeTheCopy) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  std::vector<CK_BYTE> other_key;
  members.alone(0, [&](TestApplication& other, auto session) {
    CK_OBJECT_HANDLE passing = 0;
    EXPECT_EQ(import_twin(other, session, kSecond, passing), CKR_OK);
    other_key = wrapped(other, session, passing);
    EXPECT_EQ(other->C_DestroyObject(session, passing), CKR_OK);
  });
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
    ASSERT_NO_FATAL_FAILURE(make_beside(application, proxyd, members, session, other_key, second));
    destroy(members, kSecond, 1);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst})) << proxyd.log();
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_OK);
    EXPECT_TRUE(twins(application, session).empty());
    EXPECT_TRUE(eventually([&] { return is_told(proxyd); })) << proxyd.log();
    EXPECT_FALSE(nobody_owes(proxyd));
    destroy(members, kFirst, 1);
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(twins(application, session).empty());
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY).count("twin"), 0u);
}

// What was made beside the copy is destroyed by its own handle, perhaps later: the copy is none that has come back.
TEST_P(PoolTwinsBesideACopy, IsNotDestroyedWithIt) {
  const bool is_owed = GetParam();
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
    const auto copied = wrapped(application, session, first);
    ASSERT_NO_FATAL_FAILURE(make_beside(application, proxyd, members, session, copied, second));
    if (is_owed) members.rules(1).set("C_DestroyObject latency=3s rv=CKR_FUNCTION_FAILED times=1");
    EXPECT_EQ(application->C_DestroyObject(session, second), is_owed ? CKR_DEVICE_ERROR : CKR_OK);
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst})) << proxyd.log();
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst})) << proxyd.log();
    // Nor is it destroyed for a copy of the key, which would look like it.
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return sync(proxyd).dump().find("looks like another key") != std::string::npos; }))
        << sync(proxyd).dump();
    EXPECT_EQ(values(twins(application, session)), (std::multiset<CK_BYTE>{kFirst, kFirst})) << proxyd.log();
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY).count("twin"), 1u);
}

// The member that cannot say which one is meant is asked before any has destroyed the key.
TEST_P(PoolTwinsBesideACopy, IsOwedAlsoWhereItWasDecidedLater) {
  const bool is_imported = GetParam();  // else it was made through the pool
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    CK_OBJECT_HANDLE first = 0, second = 0;
    ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
    if (is_imported) {
      import_beside(members);
    } else {
      const auto copied = wrapped(application, session, first);
      ASSERT_NO_FATAL_FAILURE(make_beside(application, proxyd, members, session, copied, second));
    }
    take_away(proxyd, members, 1);
    members.rules(0).set("C_DestroyObject crash=kill times=1\nC_Initialize rv=CKR_DEVICE_ERROR");
    EXPECT_EQ(application->C_DestroyObject(session, first), CKR_DEVICE_ERROR);
    members.rules(1).set("");
    ASSERT_TRUE(eventually([&] { return serves(proxyd, 1); }));
    EXPECT_TRUE(eventually([&] { return is_told(proxyd); })) << proxyd.log();
    EXPECT_FALSE(serves(proxyd, 0));
    members.rules(0).set("");
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
    EXPECT_TRUE(eventually([&] { return owes_nothing(proxyd, 0); })) << sync(proxyd).dump() << proxyd.log();
    EXPECT_TRUE(eventually([&] { return twins(application, session).empty(); })) << proxyd.log();
    EXPECT_FALSE(nobody_owes(proxyd));
    if (is_imported) {
      destroy(members, kFirst, 1);
    } else {
      members.alone(1, [](TestApplication& other, auto its_session) {
        EXPECT_EQ(other->C_DestroyObject(its_session, other.find(its_session, CKO_SECRET_KEY, "twin").front()), CKR_OK);
      });
    }
    ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
    sync(proxyd, false);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(eventually([&] {
      return values(twins(application, session)) == std::multiset<CK_BYTE>{is_imported ? kSecond : kFirst};
    })) << proxyd.log();
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY).count("twin"), 0u);
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY).count("twin"), 1u);
}

// It was asked, and so knows of its look-alikes, before any has destroyed the key.
TEST_F(PoolTwinsSeenLater, NoMoreMayBeThereThanStay) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE first = 0;
  ASSERT_NO_FATAL_FAILURE(make_copied(application, proxyd, session, first));
  const auto copied = wrapped(application, session, first);
  import_beside(members);
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
  members.rules(0).set("C_DestroyObject crash=kill times=1\nC_Initialize rv=CKR_DEVICE_ERROR");
  EXPECT_EQ(application->C_DestroyObject(session, first), CKR_DEVICE_ERROR);
  members.rules(0).set("");
  ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
  EXPECT_TRUE(eventually([&] { return owes_nothing(proxyd, 0); })) << sync(proxyd).dump() << proxyd.log();
  destroy(members, kFirst, 1);
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
  sync(proxyd, false);
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_TRUE(eventually([&] { return values(twins(application, session)) == std::multiset<CK_BYTE>{kSecond}; }))
      << proxyd.log();
  members.alone(1, [&](TestApplication& other, auto its_session) {
    CK_OBJECT_HANDLE again = 0;
    EXPECT_EQ(unwrap_twin(other, its_session, copied, again), CKR_OK);
  });
  ASSERT_NO_FATAL_FAILURE(start_anew(proxyd, "hsm1"));
  EXPECT_TRUE(eventually([&] { return proxyd.log().find("restored from an older backup") != std::string::npos; }))
      << proxyd.log();
}

INSTANTIATE_TEST_SUITE_P(Either, PoolTwinsBesideACopy, ::testing::Bool());

}  // namespace
}  // namespace p11shim
