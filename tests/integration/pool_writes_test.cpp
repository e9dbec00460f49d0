#include "pool_writes.h"

#include "tests/places.h"

namespace p11shim {
namespace {

TEST_F(PoolWrites, AMemberThatWasAwayDestroysAndChangesWhenItReturns) {
  PoolMembers members(3);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    const auto key = application.one(session, CKO_SECRET_KEY, "aes");
    take_away(proxyd, members, 2);
    EXPECT_EQ(application.set_label(session, application.one(session, CKO_PUBLIC_KEY, "ec"), "renamed"), CKR_OK);
    EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
    EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
    EXPECT_EQ(sync(proxyd)["members"][2]["owes"].size(), 2u);
  }
  // Neither a crash nor a new start while it is away makes proxyd forget.
  proxyd.signal(SIGKILL);
  proxyd.wait();
  members.rules(2).set("");
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  EXPECT_EQ(application.find(session, CKO_PUBLIC_KEY, "renamed").size(), 1u);
  EXPECT_TRUE(application.find(session, CKO_PUBLIC_KEY, "ec").empty());
  proxyd.stop();
  for (const std::size_t member : {0, 1, 2}) {
    EXPECT_TRUE(labels_on(members, member, CKO_SECRET_KEY).empty()) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PUBLIC_KEY), std::multiset<std::string>{"renamed"}) << member;
  }
}

TEST_F(PoolWrites, WhatWasDestroyedDoesNotComeBackWithAnOldBackup) {
  PoolMembers members(2);
  const auto tokens = members.directory(1) / "tokens", backup = members.directory(1) / "backup";
  std::filesystem::copy(tokens, backup, std::filesystem::copy_options::recursive);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(application->C_DestroyObject(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
  }
  proxyd.stop();
  std::filesystem::remove_all(tokens);
  std::filesystem::rename(backup, tokens);
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  EXPECT_TRUE(eventually([&] {
    return member_status(proxyd, "hsm1").value("reason", "").starts_with("it shows objects that were destroyed");
  }));
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  EXPECT_EQ(sync(proxyd)["members"][1]["destroys_again"], 1);
  Process tool({build_dir() + "/bin/shimctl", "--control", (proxyd.path() / "control.sock").string(), "pool", "sync",
                "pool", "--dry-run", "-o", "json"},
               {});
  EXPECT_EQ(tool.wait(), 0) << tool.err;
  const auto said = nlohmann::json::parse(tool.out, nullptr, false);
  EXPECT_EQ(schema_error(said), "") << tool.out;
  EXPECT_EQ(said["data"]["work"][0]["member"], "hsm1");
  EXPECT_EQ(sync(proxyd, false)["members"][1]["destroys_again"], 1);
  EXPECT_TRUE(eventually([&] {
    return nobody_owes(proxyd) && member_status(proxyd, "hsm1").value("state", "") == "up";
  })) << sync(proxyd).dump();
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  proxyd.stop();
  EXPECT_TRUE(labels_on(members, 1, CKO_SECRET_KEY).empty());
}

TEST_F(PoolWrites, WhatTheFirstMemberRefusesNobodyDoes) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_DestroyObject rv=CKR_ACTION_PROHIBITED");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_ACTION_PROHIBITED);
  EXPECT_TRUE(nobody_owes(proxyd));
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  // In a session that may not write it is not even tried.
  EXPECT_EQ(application->C_DestroyObject(application.open(false), key), CKR_SESSION_READ_ONLY);
  for (const std::size_t member : {0, 1}) members.rules(member).set("");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
}

// Whoever wanted it had not logged in: it is not done with the login of somebody else either.
TEST_F(PoolWrites, WhatEveryMemberRefusesToTheAnonymousNobodyDoesLater) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd), other(proxyd);
  CK_SESSION_HANDLE others = 0;
  const auto session = application.open();
  ASSERT_NO_FATAL_FAILURE(enter(other, proxyd, others));
  const auto key = application.one(session, CKO_PUBLIC_KEY, "ec");
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_DestroyObject rv=CKR_USER_NOT_LOGGED_IN");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_USER_NOT_LOGGED_IN);
  EXPECT_TRUE(nobody_owes(proxyd)) << sync(proxyd).dump();
  // Nor when nobody knows whether the module has begun it.
  for (const std::size_t member : {0, 1})
    members.rules(member).set("C_DestroyObject crash=kill times=1\nC_DestroyObject rv=CKR_USER_NOT_LOGGED_IN");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_DEVICE_ERROR);
  EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(other.find(others, CKO_PUBLIC_KEY, "ec"), std::vector{key});
  EXPECT_EQ(application.find(session, CKO_PUBLIC_KEY, "ec"), std::vector{key});
}

TEST_F(PoolWrites, WhatAllFailToDoAndStillHaveStaysAndCountsAgainstNobody) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  for (const std::size_t member : {0, 1}) members.rules(member).set("C_DestroyObject rv=CKR_GENERAL_ERROR");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(application->C_DestroyObject(session, key), CKR_GENERAL_ERROR);
    EXPECT_TRUE(nobody_owes(proxyd)) << sync(proxyd).dump();
    EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  }
  EXPECT_EQ(members_up(proxyd), 2u);
  // One that alone fails owes it, as ever.
  members.rules(1).set("");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY, "aes").empty());
  EXPECT_FALSE(nobody_owes(proxyd));
  members.rules(0).set("");
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
}

TEST_F(PoolWrites, WithDestroyAllEveryMemberMustBeThere) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("destroy = \"all\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  take_away(proxyd, members, 1);
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_DEVICE_ERROR);
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  members.rules(1).set("");
  ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
}

// Killed when one member has destroyed its copy and the other has not answered yet.
TEST_F(PoolWrites, AKilledProxydFinishesWhatItHasBegun) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick));
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  const auto key = application->one(session, CKO_SECRET_KEY, "aes");
  const std::filesystem::path never = members.directory(1) / "never";
  members.rules(1).set("C_DestroyObject hang=" + never.string());
  members.rules(0).set("C_DestroyObject hang=" + never.string());
  std::thread destroying([&] { (*application)->C_DestroyObject(session, key); });
  EXPECT_TRUE(eventually([&] { return !nobody_owes(proxyd); }));
  proxyd.signal(SIGKILL);
  proxyd.wait();
  for (const std::size_t member : {0, 1}) members.rules(member).set("");
  proxyd.start();
  destroying.join();
  TestApplication later(proxyd);
  ASSERT_EQ(later.log_in(later.open(), compare::kUserPin), CKR_OK);
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  application.reset();
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY), labels_on(members, 1, CKO_SECRET_KEY));
}

}  // namespace
}  // namespace p11shim
