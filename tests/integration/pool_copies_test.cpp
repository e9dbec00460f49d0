// Copies on all members, of objects and of PINs.
#include <fstream>

#include "pool_writes.h"

namespace p11shim {
namespace {

TEST_F(PoolWrites, PublicObjectsAreMadeOnAllMembers) {
  PoolMembers members(3);
  PrivateProxyd proxyd(members.config(kQuick + std::string("replication = \"public\"\n")));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    application.create_data(session, true, "with all", "value");
    EXPECT_TRUE(nobody_owes(proxyd));
    take_away(proxyd, members, 1);
    const auto object = application.create_data(session, true, "without one", "value 2");
    EXPECT_EQ(application.find(session, CKO_DATA).size(), 2u);
    const auto passing = application.create_data(session, true, "passing", "value 3");
    EXPECT_EQ(application->C_DestroyObject(session, passing), CKR_OK);
    // The same once more: another object, which does not go the way of the first.
    application.create_data(session, true, "passing", "value 3");
    members.rules(1).set("");
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.find(session, CKO_DATA, "without one"), std::vector{object});
    EXPECT_EQ(application.find(session, CKO_DATA).size(), 3u);
    // Secret keys stay where they are made.
    CK_OBJECT_HANDLE key = 0;
    EXPECT_EQ(generate(application, session, "own", key), CKR_OK);
    EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  }
  proxyd.stop();
  const std::multiset<std::string> expected{"with all", "without one", "passing"};
  for (const std::size_t member : {0, 1, 2}) EXPECT_EQ(labels_on(members, member, CKO_DATA), expected) << member;
}

CK_RV generate_secret(const TestApplication& application, CK_SESSION_HANDLE session, std::string label, CK_ULONG size,
                      CK_OBJECT_HANDLE& key) {
  CK_MECHANISM mechanism{CKM_GENERIC_SECRET_KEY_GEN, nullptr, 0};
  CK_ATTRIBUTE tmpl[] = {flag(CKA_TOKEN, kYes),
                         flag(CKA_PRIVATE, kYes),
                         flag(CKA_SIGN, kYes),
                         flag(CKA_EXTRACTABLE, kYes),
                         {CKA_VALUE_LEN, &size, sizeof size},
                         {CKA_LABEL, label.data(), label.size()}};
  return application->C_GenerateKey(session, &mechanism, tmpl, std::size(tmpl), &key);
}

// SoftHSM unwraps 20 bytes as 24, and then does not say how long the key is.
TEST_F(PoolWrites, ACopyOfAnotherLengthIsNone) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    members.rules(1).set("C_DestroyObject rv=CKR_FUNCTION_FAILED");  // what is not to be there never was
    for (CK_ULONG size : {20, 24}) {
      const std::string label = std::to_string(size) + " bytes";
      CK_OBJECT_HANDLE key = 0;
      ASSERT_EQ(generate_secret(application, session, label, size, key), CKR_OK);
      EXPECT_EQ(application.find(session, CKO_SECRET_KEY, label), std::vector{key});
    }
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_NE(proxyd.log().find("member hsm1 makes a key of unknown length of its 20 bytes"), std::string::npos)
        << proxyd.log();
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY), (std::multiset<std::string>{"20 bytes", "24 bytes", "aes", "wrap"}));
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY), (std::multiset<std::string>{"24 bytes", "aes", "wrap"}));
}

// Whichever answer about the key fails. What was made although its member could not show it is found and copied.
TEST_F(PoolWrites, ALengthThatAMemberCouldNotTellIsNone) {
  constexpr int kAnswers = 6;
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kCopying + "strategy = \"failover\"\n"));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    for (const std::size_t member : {0, 1})
      for (int answer = 0; answer < kAnswers; ++answer) {
        const std::string fails = "C_GetAttributeValue rv=CKR_DEVICE_ERROR times=1 after=" + std::to_string(answer);
        for (const CK_ULONG size : {20, 24}) {
          members.rules(member).set(fails);
          const std::string label = std::to_string(size) + "/" + std::to_string(member) + "/" + std::to_string(answer);
          CK_OBJECT_HANDLE key = 0;
          const CK_RV rv = generate_secret(application, session, label, size, key);
          ASSERT_TRUE(rv == CKR_OK || (rv == CKR_DEVICE_ERROR && member == 0)) << label << ": " << rv;
          members.rules(member).set("");
          ASSERT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
        }
      }
  }
  proxyd.stop();
  auto expected = labels_on(members, 0, CKO_SECRET_KEY);
  EXPECT_EQ(expected.size(), 2u + 2 * 2 * kAnswers);
  std::erase_if(expected, [](const std::string& label) { return label.starts_with("20/"); });
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY), expected);
}

TEST_F(PoolWrites, KeysAreCopiedUnderTheWrappingKey) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(
      kQuick +
      std::string("replication = \"wrap\"\nwrapping_key = \"wrap\"\nmin_copies = 2\nstrategy = \"round-robin\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  CK_OBJECT_HANDLE key = 0;
  ASSERT_EQ(generate(application, session, "copied", key), CKR_OK) << proxyd.log();
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "copied"), std::vector{key});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  // A key pair too, which signs on both members.
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  ASSERT_EQ(generate_pair(application, session, public_key, private_key, {flag(CKA_EXTRACTABLE, kYes)}), CKR_OK)
      << proxyd.log();
  ASSERT_NO_FATAL_FAILURE(sign_and_verify(application, session, public_key, private_key, 4));
  // With fewer members than asked for nothing is made; nor of a key that may not leave its member.
  CK_OBJECT_HANDLE none = 0;
  EXPECT_EQ(generate(application, session, "not extractable", none, CK_FALSE), CKR_DEVICE_ERROR);
  take_away(proxyd, members, 1);
  EXPECT_EQ(generate(application, session, "undone", none), CKR_DEVICE_ERROR);
  members.rules(1).set("");
  EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "copied"), std::vector{key});
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "copied", "wrap"}))
        << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec", "pair"})) << member;
  }
}

TEST_F(PoolWrites, WithoutACommonWrappingKeyNothingIsCopiedAndTheLogSaysWhy) {
  PoolMembers members(2);
  add_wrapping_key(members, 2, 77);
  PrivateProxyd proxyd(members.config(kCopying));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  CK_OBJECT_HANDLE key = 0;
  EXPECT_EQ(generate(application, session, "lonely", key), CKR_OK);
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  EXPECT_NE(proxyd.log().find("their wrapping keys differ"), std::string::npos) << proxyd.log();
}

// Where proxyd logs in by itself it does so once, and no application is needed.
TEST_F(PoolWrites, AMissingWrappingKeyIsToldAtTheStart) {
  PoolMembers members(2);
  add_wrapping_key(members, 1);
  const std::filesystem::path file = members.directory(0) / "pin";
  std::ofstream(file) << compare::kUserPin << "\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  PrivateProxyd proxyd(members.config(kCopying, "login = \"daemon\"\npin_file = \"" + file.string() + "\"\n"));
  proxyd.start();
  EXPECT_TRUE(eventually([&] {
    return proxyd.log().find("member hsm1 has no key \"wrap\" (wrapping_key)") != std::string::npos;
  })) << proxyd.log();
  EXPECT_EQ(proxyd.log().find("member hsm0 has no key"), std::string::npos);
  const auto problems = proxyd.ask("{\"command\":\"pools\"}")["result"]["pools"][0]["problems"];
  EXPECT_NE(problems.dump().find("member hsm1 has no key"), std::string::npos) << problems.dump();
  EXPECT_EQ(members_up(proxyd), 0u);  // nobody is logged in any more
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "aes")), CKR_OK);
}

// Killed when the object is there and its copy is under way.
TEST_F(PoolWrites, CopiesThatWereNotMadeBeforeACrashAreMadeAfterIt) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("replication = \"public\"\nstrategy = \"failover\"\n")));
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  const std::filesystem::path never = members.directory(0) / "never";
  for (const std::size_t hung : {0, 1}) {
    members.rules(hung).set("C_CreateObject hang=" + never.string());
    const std::string label = "on " + std::to_string(hung);
    std::thread creating([&, label] {
      CK_OBJECT_CLASS object_class = CKO_DATA;
      std::string text = label;
      CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                             flag(CKA_TOKEN, kYes),
                             flag(CKA_PRIVATE, kNo),
                             {CKA_LABEL, text.data(), text.size()},
                             {CKA_VALUE, text.data(), text.size()}};
      CK_OBJECT_HANDLE object = 0;
      (*application)->C_CreateObject(session, tmpl, std::size(tmpl), &object);
    });
    EXPECT_TRUE(eventually([&] { return !nobody_owes(proxyd); }));
    proxyd.signal(SIGKILL);
    proxyd.wait();
    members.rules(hung).set("");
    proxyd.start();
    creating.join();
    EXPECT_TRUE(eventually([&] {
      TestApplication later(proxyd);
      return later.log_in(later.open(), compare::kUserPin) == CKR_OK &&
             eventually([&] { return nobody_owes(proxyd); }, std::chrono::seconds(3));
    })) << sync(proxyd).dump();
  }
  application.reset();
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_DATA), labels_on(members, 1, CKO_DATA));
}

TEST_F(PoolWrites, PinsAreChangedOnAllMembersOrOnNone) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(kQuick + ("admin = [\"" + me() + "\"]\n")));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    EXPECT_EQ(application.set_pin(session, "wrong", "new-pin"), CKR_PIN_INCORRECT);
    EXPECT_EQ(application.set_pin(session, compare::kUserPin, "new-pin"), CKR_OK);
    take_away(proxyd, members, 1);
    EXPECT_EQ(application.set_pin(session, "new-pin", "never"), CKR_DEVICE_ERROR);
    EXPECT_NE(proxyd.log().find("PINs are changed on all members or on none"), std::string::npos);
    members.rules(1).set("");
  }
  {
    TestApplication application(proxyd);
    const auto session = application.open();
    EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_PIN_INCORRECT);
    ASSERT_EQ(application.log_in(session, "new-pin"), CKR_OK);
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd); }));
  }
  {
    TestApplication officer(proxyd);
    const auto session = officer.open();
    EXPECT_EQ(officer.log_in(session, "wrong", CKU_SO), CKR_PIN_INCORRECT);
    ASSERT_EQ(officer.log_in(session, compare::kSoPin, CKU_SO), CKR_OK);
    std::string pin = "by-officer";
    EXPECT_EQ(officer->C_InitPIN(session, reinterpret_cast<CK_UTF8CHAR*>(pin.data()), pin.size()), CKR_OK);
    EXPECT_EQ(officer->C_Logout(session), CKR_OK);
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    PrivateProxyd alone(members.config_of(member));
    alone.start();
    TestApplication application(alone);
    EXPECT_EQ(application.log_in(application.open(), "by-officer"), CKR_OK) << member;
  }
}

}  // namespace
}  // namespace p11shim
