// Keys that are not to be extractable, on all members (replicate_nonextractable).
#include <fstream>

#include "pool_writes.h"

namespace p11shim {
namespace {

class PoolSealed : public PoolWrites {
 protected:
  static std::string options(const std::string& more = {}) {
    return kQuick +
           std::string(
               "replication = \"wrap\"\nwrapping_key = \"wrap\"\nreplicate_nonextractable = true\n"
               "strategy = \"round-robin\"\n") +
           more;
  }
  static std::string in_order() {
    return kQuick + std::string(
                        "replication = \"wrap\"\nwrapping_key = \"wrap\"\nreplicate_nonextractable = true\n"
                        "strategy = \"failover\"\n");
  }
  // A worker of theirs is at work for the test alone.
  static std::string unprobed() {
    return "attempt_timeout = \"2s\"\nbreaker = { failures = 3, open_min = \"50ms\", open_max = \"100ms\" }\n"
           "probe = { call = \"none\" }\nreplication = \"wrap\"\nwrapping_key = \"wrap\"\n"
           "replicate_nonextractable = true\nstrategy = \"failover\"\n";
  }
  static bool flag_of(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                      CK_ATTRIBUTE_TYPE type) {
    CK_BBOOL value = 2;
    CK_ATTRIBUTE query{type, &value, sizeof value};
    EXPECT_EQ(application->C_GetAttributeValue(session, object, &query, 1), CKR_OK);
    EXPECT_LT(value, 2);
    return value == CK_TRUE;
  }
  // What the standard lets a copy say, and nothing better.
  static void expect_sealed(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
    EXPECT_TRUE(flag_of(application, session, key, CKA_TOKEN));
    EXPECT_FALSE(flag_of(application, session, key, CKA_EXTRACTABLE));
    EXPECT_FALSE(flag_of(application, session, key, CKA_LOCAL));
    EXPECT_FALSE(flag_of(application, session, key, CKA_NEVER_EXTRACTABLE));
  }
};

TEST_F(PoolSealed, KeysThatAreNotExtractableAreMadeOnAllMembers) {
  PoolMembers members(3);
  add_wrapping_key(members, 3);
  PrivateProxyd proxyd(members.config(options("min_copies = 3\n")));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
    ASSERT_EQ(generate(application, session, "sealed", key, CK_FALSE), CKR_OK) << proxyd.log();
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "sealed"), std::vector{key});
    expect_sealed(application, session, key);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(application.encrypt(session, key), CKR_OK);
    // A pair of which nothing is said.
    ASSERT_EQ(generate_pair(application, session, public_key, private_key), CKR_OK) << proxyd.log();
    expect_sealed(application, session, private_key);
    ASSERT_NO_FATAL_FAILURE(sign_and_verify(application, session, public_key, private_key, 6));
    // A key that may leave its member is made as ever.
    CK_OBJECT_HANDLE extractable = 0;
    ASSERT_EQ(generate(application, session, "extractable", extractable), CKR_OK);
    EXPECT_TRUE(flag_of(application, session, extractable, CKA_EXTRACTABLE));
    // Session keys stay session keys, and nothing of proxyd's own is left.
    application.generate_aes(session, false, "passing");
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY).size(), 5u);  // wrap, aes, sealed, extractable, passing
    // A session that may not write makes none.
    const auto read_only = application.open(false);
    CK_OBJECT_HANDLE none = 0;
    EXPECT_EQ(generate(application, read_only, "no", none, CK_FALSE), CKR_SESSION_READ_ONLY);
    // Destroyed everywhere.
    EXPECT_EQ(application->C_DestroyObject(session, private_key), CKR_OK);
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1, 2}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY),
              (std::multiset<std::string>{"aes", "extractable", "sealed", "wrap"}))
        << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PUBLIC_KEY), (std::multiset<std::string>{"ec", "pair"})) << member;
  }
}

TEST_F(PoolSealed, WithoutEnoughMembersNothingIsMade) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(options("min_copies = 2\n")));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
    members.rules(1).set("C_UnwrapKey rv=CKR_DEVICE_ERROR\nC_WrapKey rv=CKR_DEVICE_ERROR");
    EXPECT_EQ(generate(application, session, "undone", key, CK_FALSE), CKR_DEVICE_ERROR);
    EXPECT_EQ(generate_pair(application, session, public_key, private_key), CKR_DEVICE_ERROR);
    members.rules(1).set("");
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_TRUE(application.find(session, CKO_SECRET_KEY, "undone").empty());
    // What the module refuses is its answer.
    members.rules(0).set("C_GenerateKey rv=CKR_MECHANISM_INVALID");
    members.rules(1).set("C_GenerateKey rv=CKR_MECHANISM_INVALID");
    EXPECT_EQ(generate(application, session, "refused", key, CK_FALSE), CKR_MECHANISM_INVALID);
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "wrap"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PUBLIC_KEY), (std::multiset<std::string>{"ec"})) << member;
  }
}

// Nobody was told that it was made: none is left, and what has the same name and was made stays.
TEST_F(PoolSealed, AKilledProxydLeavesNoKeyThatIsNotFinished) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(unprobed() + "min_copies = 2\n"));
  proxyd.start();
  auto application = std::make_unique<TestApplication>(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(*application, proxyd, session));
  CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
  ASSERT_EQ(generate(*application, session, "name", key, CK_FALSE), CKR_OK) << proxyd.log();
  ASSERT_EQ(generate_pair(*application, session, public_key, private_key), CKR_OK) << proxyd.log();
  for (const bool pair : {false, true}) {
    const auto go = members.directory(1) / "go";
    std::filesystem::remove(go);
    // The first one is there, the second one is made by a worker whose proxyd is gone.
    members.rules(1).set("C_UnwrapKey hang=" + go.string());
    std::thread creating([&, pair] {
      CK_OBJECT_HANDLE none = 0, other = 0;
      pair ? generate_pair(*application, session, none, other)
           : generate(*application, session, "name", none, CK_FALSE);
    });
    EXPECT_TRUE(eventually([&] {
      return pair ? labels_on(members, 0, CKO_PRIVATE_KEY).count("pair") == 2
                  : labels_on(members, 0, CKO_SECRET_KEY).count("name") == 2;
    }));
    EXPECT_TRUE(eventually([&] { return is_working(proxyd, "hsm1"); }));
    proxyd.signal(SIGKILL);
    EXPECT_TRUE(eventually([&] { return !proxyd.alive(); }));
    std::ofstream(go).put('\n');
    proxyd.wait();
    members.rules(1).set("");
    proxyd.start();
    creating.join();
    application = std::make_unique<TestApplication>(proxyd);
    session = application->open();
    ASSERT_EQ(application->log_in(session, compare::kUserPin), CKR_OK);
    EXPECT_EQ(application->find(session, CKO_SECRET_KEY, "name"), std::vector{key});
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application->find(session, CKO_SECRET_KEY, "name"), std::vector{key});
    EXPECT_EQ(application->find(session, CKO_PRIVATE_KEY, "pair"), std::vector{private_key});
  }
  application.reset();
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "name", "wrap"}))
        << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec", "pair"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PUBLIC_KEY), (std::multiset<std::string>{"ec", "pair"})) << member;
  }
}

// A creation that is killed has left a copy on either member. What has its name beside it, or in its place, is somebody else's.
class PoolLeftOver : public PoolSealed {
 protected:
  static CK_RV import_key(TestApplication& application, CK_SESSION_HANDLE session, std::string label, CK_BYTE first,
                          CK_OBJECT_HANDLE& key) {
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BYTE value[16] = {first};
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_VALUE, value, sizeof value},
                           {CKA_LABEL, label.data(), label.size()},
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_ENCRYPT, kYes),
                           flag(CKA_EXTRACTABLE, kNo)};
    return application->C_CreateObject(session, tmpl, std::size(tmpl), &key);
  }
  // Ends with proxyd stopped. `before`: makes what was there and was acknowledged.
  template <class Before>
  void leave_copies_of(PoolMembers& members, PrivateProxyd& proxyd, CK_BYTE value, Before before) {
    add_wrapping_key(members, 2);
    proxyd.start();
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    before(application, session);
    CK_OBJECT_HANDLE tried = 0;  // the wrapping keys are, with the first copy
    ASSERT_EQ(import_key(application, session, "tried", 99, tried), CKR_OK) << proxyd.log();
    ASSERT_EQ(application->C_DestroyObject(session, tried), CKR_OK);
    const auto go = members.directory(1) / "go";
    members.rules(1).set("C_UnwrapKey hang=" + go.string());
    std::thread creating([&] {
      CK_OBJECT_HANDLE none = 0;
      import_key(application, session, "name", value, none);
    });
    const auto has_copy = [&](std::size_t member) {
      return eventually([&] { return labels_on(members, member, CKO_SECRET_KEY).contains("name"); });
    };
    EXPECT_TRUE(has_copy(0));
    EXPECT_TRUE(eventually([&] { return is_working(proxyd, "hsm1"); }));  // at nothing else: it is not probed
    proxyd.signal(SIGKILL);
    EXPECT_TRUE(eventually([&] { return !proxyd.alive(); }));
    std::ofstream(go).put('\n');
    proxyd.wait();
    creating.join();
    members.rules(1).set("");
    ASSERT_TRUE(has_copy(1));  // its worker finishes what it has begun
  }
  static bool is_told(const PrivateProxyd& proxyd) {
    const auto pools = proxyd.ask("{\"command\":\"pools\"}");
    const auto problems = pools["result"]["pools"][0].value("problems", std::vector<std::string>());
    return std::ranges::any_of(problems, [](const std::string& problem) {
      return problem.find("member hsm0, object \"name\"") != std::string::npos;
    });
  }
};

TEST_F(PoolLeftOver, AKeyInItsPlaceStaysAndTheOperatorIsTold) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(unprobed()));
  ASSERT_NO_FATAL_FAILURE(leave_copies_of(members, proxyd, 7, [](auto&, auto) {}));
  members.alone(0, [](TestApplication& application, auto session) {
    EXPECT_EQ(application->C_DestroyObject(session, application.one(session, CKO_SECRET_KEY, "name")), CKR_OK);
    CK_OBJECT_HANDLE key = 0;
    EXPECT_EQ(import_key(application, session, "name", 8, key), CKR_OK);
  });
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    EXPECT_TRUE(eventually([&] {
      const auto report = sync(proxyd)["members"];
      return report[0]["owes"].size() == 1 && report[0]["owes"][0]["obstacle"] != "" && report[1]["owes"].empty();
    })) << sync(proxyd).dump();
    EXPECT_TRUE(is_told(proxyd)) << proxyd.log();
    const auto keys = application.find(session, CKO_SECRET_KEY, "name");
    ASSERT_EQ(keys.size(), 1u);
    EXPECT_EQ(application.encrypt(session, keys[0]), CKR_OK);
    // The operator's word.
    sync(proxyd, false);
    EXPECT_FALSE(is_told(proxyd));
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "name"), keys);
  }
  proxyd.stop();
  EXPECT_EQ(labels_on(members, 0, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "name", "wrap"}));
  EXPECT_EQ(labels_on(members, 1, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "wrap"}));
}

TEST_F(PoolLeftOver, AKeyBesideItStaysAndItIsDestroyed) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(unprobed()));
  ASSERT_NO_FATAL_FAILURE(leave_copies_of(members, proxyd, 7, [](auto&, auto) {}));
  for (const std::size_t member : {0, 1})
    members.alone(member, [](TestApplication& application, auto session) {
      CK_OBJECT_HANDLE key = 0;
      EXPECT_EQ(import_key(application, session, "name", 8, key), CKR_OK);
    });
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.find(session, CKO_SECRET_KEY, "name").size(), 1u);
    EXPECT_FALSE(is_told(proxyd));
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "name", "wrap"}));
    members.alone(member, [](TestApplication& application, auto session) {  // the one that was imported
      CK_MECHANISM ecb{CKM_AES_ECB, nullptr, 0};
      CK_BYTE zeros[16] = {}, result[32];
      CK_ULONG size = sizeof result;
      EXPECT_EQ(application->C_EncryptInit(session, &ecb, application.one(session, CKO_SECRET_KEY, "name")), CKR_OK);
      ASSERT_EQ(application->C_Encrypt(session, zeros, sizeof zeros, result, &size), CKR_OK);
      CK_OBJECT_HANDLE twin = 0;
      ASSERT_EQ(import_key(application, session, "twin", 8, twin), CKR_OK);
      CK_BYTE expected[32];
      EXPECT_EQ(application->C_EncryptInit(session, &ecb, twin), CKR_OK);
      ASSERT_EQ(application->C_Encrypt(session, zeros, sizeof zeros, expected, &size), CKR_OK);
      EXPECT_EQ(0, std::memcmp(result, expected, sizeof zeros));
    });
  }
}

TEST_F(PoolLeftOver, TheSameKeyByAnotherNameStays) {
  PoolMembers members(2);
  PrivateProxyd proxyd(members.config(unprobed()));
  ASSERT_NO_FATAL_FAILURE(leave_copies_of(members, proxyd, 7, [](TestApplication& application, auto session) {
    CK_OBJECT_HANDLE key = 0;
    EXPECT_EQ(import_key(application, session, "another", 7, key), CKR_OK);
  }));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    EXPECT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
    EXPECT_EQ(application.encrypt(session, application.one(session, CKO_SECRET_KEY, "another")), CKR_OK);
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1})
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "another", "wrap"}));
}

// The module has made it and cannot say what it is.
TEST_F(PoolSealed, WhatAFailureLeavesIsDestroyed) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(in_order()));
  proxyd.start();
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
    members.rules(0).set("C_EncryptInit rv=CKR_DEVICE_ERROR times=6");
    EXPECT_EQ(generate(application, session, "lost", key, CK_FALSE), CKR_DEVICE_ERROR);
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    members.rules(0).set("C_SignInit rv=CKR_DEVICE_ERROR times=6");
    EXPECT_EQ(generate_pair(application, session, public_key, private_key), CKR_DEVICE_ERROR);
    EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
    members.rules(0).set("");
    EXPECT_EQ(generate(application, session, "made", key, CK_FALSE), CKR_OK);
  }
  proxyd.stop();
  for (const std::size_t member : {0, 1}) {
    EXPECT_EQ(labels_on(members, member, CKO_SECRET_KEY), (std::multiset<std::string>{"aes", "made", "wrap"}))
        << member;
    EXPECT_EQ(labels_on(members, member, CKO_PRIVATE_KEY), (std::multiset<std::string>{"ec"})) << member;
    EXPECT_EQ(labels_on(members, member, CKO_PUBLIC_KEY), (std::multiset<std::string>{"ec"})) << member;
  }
}

TEST_F(PoolSealed, WithFewerThanAllTheLogNamesTheMember) {
  PoolMembers members(2);
  add_wrapping_key(members, 2);
  PrivateProxyd proxyd(members.config(options()));
  proxyd.start();
  TestApplication application(proxyd);
  CK_SESSION_HANDLE session = 0;
  ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
  take_away(proxyd, members, 1);
  CK_OBJECT_HANDLE key = 0;
  ASSERT_EQ(generate(application, session, "alone", key, CK_FALSE), CKR_OK) << proxyd.log();
  EXPECT_NE(proxyd.log().find("member hsm1 has no copy of a key that is not extractable"), std::string::npos);
  members.rules(1).set("");
  EXPECT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  EXPECT_EQ(application.encrypt(session, key), CKR_OK);
}

}  // namespace
}  // namespace p11shim
