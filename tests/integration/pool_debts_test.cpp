// Debts that something happens to while they are being paid.
#include <fstream>

#include "pool_writes.h"

namespace p11shim {
namespace {

TEST_F(PoolWrites, WhatIsMadeAgainWhileItIsBeingDestroyedStays) {
  PoolMembers members(2);
  for (const std::size_t member : {0, 1})
    members.alone(member, [](TestApplication& application, auto session) {
      application.create_data(session, true, "again", "value");
    });
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"failover\"\n")));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    const auto object = application.one(session, CKO_DATA, "again");
    ASSERT_NO_FATAL_FAILURE(take_away(proxyd, members, 0));
    ASSERT_EQ(application->C_DestroyObject(session, object), CKR_OK);
    const auto go = members.directory(0) / "go";
    members.rules(0).set("C_DestroyObject hang=" + go.string());
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd) && is_working(proxyd, "hsm0"); }));
    EXPECT_EQ(application.create_data(session, true, "again", "value"), object);
    std::ofstream(go).put('\n');
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    members.rules(0).set("");
    // Nothing holds it: it can be changed and destroyed like any other.
    EXPECT_EQ(application.set_label(session, object, "renamed"), CKR_OK);
    EXPECT_EQ(application.find(session, CKO_DATA, "renamed").size(), 1u);
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_DATA), std::multiset<std::string>{"renamed"});
  EXPECT_TRUE(labels_on(members, 1, CKO_DATA).empty());
}

// Killed when a module makes again what was destroyed once: it is no old backup.
class PoolMadeAgain : public PoolWrites, public ::testing::WithParamInterface<const char*> {};
TEST_P(PoolMadeAgain, BeforeACrashIsNoOffence) {
  PoolMembers members(2);
  const bool is_copied = std::string(GetParam()) == "public";
  PrivateProxyd proxyd(
      members.config(kQuick + ("replication = \"" + std::string(GetParam())) + "\"\nstrategy = \"failover\"\n"));
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  ASSERT_EQ((*application)->C_DestroyObject(session, application->create_data(session, true, "again", "value")),
            CKR_OK);
  const auto go = members.directory(0) / "go";
  members.rules(0).set("C_CreateObject hang=" + go.string());
  std::thread creating([&] {
    CK_OBJECT_CLASS object_class = CKO_DATA;
    std::string label = "again", value = "value";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kNo),
                           {CKA_LABEL, label.data(), label.size()},
                           {CKA_VALUE, value.data(), value.size()}};
    CK_OBJECT_HANDLE object = 0;
    (*application)->C_CreateObject(session, tmpl, std::size(tmpl), &object);
  });
  EXPECT_TRUE(eventually([&] { return !nobody_owes(proxyd) && is_working(proxyd, "hsm0"); }));
  proxyd.signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return !proxyd.alive(); }));
  std::ofstream(go).put('\n');  // the worker finishes what it has begun
  proxyd.wait();
  proxyd.start();
  creating.join();
  TestApplication later(proxyd);
  const auto after = later.open();
  ASSERT_EQ(later.log_in(after, compare::kUserPin), CKR_OK);
  EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(member_status(proxyd, "hsm0").value("reason", ""), "");
  EXPECT_EQ(later.find(after, CKO_DATA, "again").size(), 1u);
  application.reset();
  proxyd.stop();
  for (const std::size_t member : {0, 1})
    EXPECT_EQ(labels_on(members, member, CKO_DATA).count("again"), is_copied || member == 0 ? 1u : 0u) << member;
}
INSTANTIATE_TEST_SUITE_P(Replication, PoolMadeAgain, ::testing::Values("public", "none"));

// AES keys that one member proves to be the same by another check than the other, or not at all.
TEST_F(PoolWrites, CopiesThatCannotBeComparedAreMadeOnce) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    members.rules(1).set("C_EncryptInit rv=CKR_KEY_FUNCTION_NOT_PERMITTED");
    CK_OBJECT_HANDLE by_mac = 0;
    ASSERT_EQ(generate(application, session, "by mac", by_mac), CKR_OK);
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "by mac"), std::vector{by_mac});

    ASSERT_NO_FATAL_FAILURE(take_away(proxyd, members, 1));
    CK_OBJECT_HANDLE by_none = 0;
    ASSERT_EQ(generate(application, session, "by none", by_none), CKR_OK);
    CK_ATTRIBUTE forbid[] = {flag(CKA_ENCRYPT, kNo), flag(CKA_SIGN, kNo)};
    ASSERT_EQ(application->C_SetAttributeValue(session, by_none, forbid, std::size(forbid)), CKR_OK);
    members.rules(1).set("");
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "by none"), std::vector{by_none});
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1})
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY),
              (std::multiset<std::string>{"aes", "by mac", "by none", "wrap"}))
        << member;
}

}  // namespace
}  // namespace p11shim
