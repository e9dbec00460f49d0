// Making, changing and destroying objects in pools of several members, some of which are away, or fail in the middle.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "pool_members.h"
#include "tests/shimctl/schema.h"

namespace p11shim {
namespace {

constexpr char kQuick[] =
    "attempt_timeout = \"2s\"\nbreaker = { failures = 3, open_min = \"50ms\", open_max = \"100ms\" }\nprobe = { interval = \"200ms\", timeout = \"2s\" }\n";

CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL& value) { return {type, const_cast<CK_BBOOL*>(&value), sizeof value}; }
constexpr CK_BBOOL kYes = CK_TRUE, kNo = CK_FALSE;

class PoolWrites : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  }

  // The same AES key "wrap" on each of them, as an operator imports it.
  static void add_wrapping_key(PoolMembers& members, std::size_t count, CK_BYTE differs_on_last = 0) {
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_NO_FATAL_FAILURE(members.alone(i, [&](TestApplication& application, auto session) {
      CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
      CK_KEY_TYPE type = CKK_AES;
      CK_BYTE value[32] = {1, 2, 3};
      if (i + 1 == count) value[4] = differs_on_last;
      char label[] = "wrap";
      CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_VALUE, value, sizeof value},
                             {CKA_LABEL, label, 4}, flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kYes), flag(CKA_WRAP, kYes), flag(CKA_UNWRAP, kYes)};
      CK_OBJECT_HANDLE key = 0;
      ASSERT_EQ(application->C_CreateObject(session, tmpl, std::size(tmpl), &key), CKR_OK);
    }));
  }
  static CK_RV generate(TestApplication& application, CK_SESSION_HANDLE session, std::string label, CK_OBJECT_HANDLE& key, CK_BBOOL extractable = CK_TRUE) {
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_ULONG size = 16;
    CK_ATTRIBUTE tmpl[] = {flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kYes), flag(CKA_ENCRYPT, kYes), flag(CKA_EXTRACTABLE, extractable),
                           {CKA_VALUE_LEN, &size, sizeof size}, {CKA_LABEL, label.data(), label.size()}};
    return application->C_GenerateKey(session, &mechanism, tmpl, std::size(tmpl), &key);
  }
  // Labels of all objects of a class on one member, asked directly.
  static std::multiset<std::string> labels_on(PoolMembers& members, std::size_t member, CK_OBJECT_CLASS object_class) {
    PrivateProxyd alone(members.config_of(member));
    alone.start();
    TestApplication application(alone);
    const auto session = application.open();
    EXPECT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    std::multiset<std::string> labels;
    for (const auto object : application.find(session, object_class)) {
      char label[64];
      CK_ATTRIBUTE query{CKA_LABEL, label, sizeof label};
      EXPECT_EQ(application->C_GetAttributeValue(session, object, &query, 1), CKR_OK);
      labels.emplace(label, query.ulValueLen);
    }
    return labels;
  }
  static void take_away(PrivateProxyd& proxyd, PoolMembers& members, std::size_t member) {
    members.rules(member).set("C_Initialize rv=CKR_DEVICE_ERROR");
    for (const char* domain : {"public", "user"})
      if (const pid_t worker = member_worker(proxyd, "hsm" + std::to_string(member), domain); worker > 0) ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return !serves(proxyd, member); }));
  }
  static nlohmann::json sync(const PrivateProxyd& proxyd, bool dry_run = true) {
    const auto answer = proxyd.ask(std::string("{\"command\":\"pool-sync\",\"arguments\":{\"dry_run\":") + (dry_run ? "true" : "false") + "}}");
    return answer.contains("result") ? answer["result"] : nlohmann::json();
  }
  // All that it has is known, private objects too.
  static bool serves(const PrivateProxyd& proxyd, std::size_t member) {
    const auto report = sync(proxyd);
    return !report.is_null() && report["members"][member]["private_objects_known"] == true;
  }
  static bool all_serve(const PrivateProxyd& proxyd) {
    const auto report = sync(proxyd);
    for (const auto& member : report["members"])
      if (member["private_objects_known"] != true) return false;
    return !report.is_null();
  }
  // Opens a session, logs in and waits until all members serve.
  static void enter(TestApplication& application, const PrivateProxyd& proxyd, CK_SESSION_HANDLE& session) {
    session = application.open();
    ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd); }));
  }
  static bool nobody_owes(const PrivateProxyd& proxyd) {
    const auto report = sync(proxyd);
    for (const auto& member : report["members"])
      if (!member["owes"].empty()) return false;
    return !report.is_null();
  }
};

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
  EXPECT_TRUE(eventually([&] { return member_status(proxyd, "hsm1").value("reason", "").starts_with("it shows objects that were destroyed"); }));
  EXPECT_TRUE(application.find(session, CKO_SECRET_KEY).empty());
  EXPECT_EQ(sync(proxyd)["members"][1]["destroys_again"], 1);
  Process tool({std::string(P11TEST_BUILD_DIR) + "/bin/shimctl", "--control", (proxyd.path() / "control.sock").string(), "pool", "sync", "pool", "--dry-run", "-o", "json"}, {});
  EXPECT_EQ(tool.wait(), 0) << tool.err;
  const auto said = nlohmann::json::parse(tool.out, nullptr, false);
  EXPECT_EQ(schema_error(said), "") << tool.out;
  EXPECT_EQ(said["data"]["work"][0]["member"], "hsm1");
  EXPECT_EQ(sync(proxyd, false)["members"][1]["destroys_again"], 1);
  EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd) && member_status(proxyd, "hsm1").value("state", "") == "up"; })) << sync(proxyd).dump();
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

TEST_F(PoolWrites, KeysAreCopiedUnderTheWrappingKey) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(kQuick + std::string("replication = \"wrap\"\nwrapping_key = \"wrap\"\nmin_copies = 2\nstrategy = \"round-robin\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  CK_OBJECT_HANDLE key = 0;
  ASSERT_EQ(generate(application, session, "copied", key), CKR_OK) << proxyd.log();
  EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "copied"), std::vector{key});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  // A key pair too, which signs on both members.
  CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {9};
  char label[] = "pair";
  CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, curve, sizeof curve}, flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kNo), flag(CKA_VERIFY, kYes), {CKA_ID, id, 1}, {CKA_LABEL, label, 4}};
  CK_ATTRIBUTE private_template[] = {flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kYes), flag(CKA_SIGN, kYes), flag(CKA_EXTRACTABLE, kYes), {CKA_ID, id, 1}, {CKA_LABEL, label, 4}};
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  ASSERT_EQ(application->C_GenerateKeyPair(session, &mechanism, public_template, std::size(public_template), private_template, std::size(private_template),
                                           &public_key, &private_key),
            CKR_OK)
      << proxyd.log();
  CK_MECHANISM ecdsa{CKM_ECDSA, nullptr, 0};
  CK_BYTE digest[32] = {1}, signature[64];
  for (int i = 0; i < 4; ++i) {
    CK_ULONG size = sizeof signature;
    ASSERT_EQ(application->C_SignInit(session, &ecdsa, private_key), CKR_OK);
    ASSERT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_OK);
    ASSERT_EQ(application->C_VerifyInit(session, &ecdsa, public_key), CKR_OK);
    EXPECT_EQ(application->C_Verify(session, digest, sizeof digest, signature, size), CKR_OK);
  }
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
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "copied", "wrap"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec", "pair"})) << member;
  }
}

TEST_F(PoolWrites, WithoutACommonWrappingKeyNothingIsCopiedAndTheLogSaysWhy) {
  PoolMembers members(2);
  add_wrapping_key(members, 2, 77);
  PrivateProxyd proxyd(members.config(kQuick + std::string("replication = \"wrap\"\nwrapping_key = \"wrap\"\n")));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  CK_OBJECT_HANDLE key = 0;
  EXPECT_EQ(generate(application, session, "lonely", key), CKR_OK);
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
  EXPECT_NE(proxyd.log().find("their wrapping keys differ"), std::string::npos) << proxyd.log();
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
      CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class}, flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kNo), {CKA_LABEL, text.data(), text.size()}, {CKA_VALUE, text.data(), text.size()}};
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
      return later.log_in(later.open(), compare::kUserPin) == CKR_OK && eventually([&] { return nobody_owes(proxyd); }, std::chrono::seconds(3));
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
