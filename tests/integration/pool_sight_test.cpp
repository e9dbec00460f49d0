// What members show is not always what they have: objects that are half made, that a process has lost sight of, or that could not
// be checked. No debt is thought paid because of that.
#include "pool_writes.h"

namespace p11shim {
namespace {

TEST_F(PoolWrites, AProcessThatHasLostSightOfAnObjectIsNotBelieved) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("strategy = \"failover\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  const auto key = application.one(session, CKO_SECRET_KEY, "aes");
  const pid_t worker = member_worker(proxyd, "hsm1");
  members.rules(1).set("module objects=out-of-sight");
  EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd) && all_serve(proxyd); })) << sync(proxyd).dump();
  EXPECT_NE(member_worker(proxyd, "hsm1"), worker);
  EXPECT_EQ(member_status(proxyd, "hsm1").value("reason", ""), "");
  // What else it does not show any more is looked for in another process too.
  EXPECT_TRUE(eventually([&] {
    const auto ec = application.one(session, CKO_PUBLIC_KEY, "ec");
    members.rules(0).set("C_GetObjectSize rv=CKR_DEVICE_ERROR");
    CK_ULONG size = 0;
    const CK_RV rv = application->C_GetObjectSize(session, ec, &size);
    members.rules(0).set("");
    return rv == CKR_OK;
  }));
  proxyd.stop();
  for (const std::size_t member : {0, 1}) EXPECT_TRUE(labels_on(members, member, CKO_SECRET_KEY).empty()) << member;
}

TEST_F(PoolWrites, ACopyThatCannotBeCheckedIsNotMadeAgain) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  members.rules(1).set("C_EncryptInit rv=CKR_DEVICE_ERROR times=9");
  CK_OBJECT_HANDLE key = 0;
  ASSERT_EQ(generate(application, session, "copied", key), CKR_OK);
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd) && all_serve(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "copied"), std::vector{key});
  proxyd.stop();
  for (const std::size_t member : {0, 1})
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "copied", "wrap"}))
        << member;
}

}  // namespace
}  // namespace p11shim
