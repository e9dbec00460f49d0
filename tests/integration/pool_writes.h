// Making, changing and destroying objects in pools of several members, some of which are away, or fail in the middle.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <set>
#include <vector>

#include "pool_members.h"
#include "tests/shimctl/schema.h"

namespace p11shim {

inline constexpr char kQuick[] =
    "attempt_timeout = \"2s\"\nbreaker = { failures = 3, open_min = \"50ms\", open_max = \"100ms\" }\nprobe = { "
    "interval = \"200ms\", timeout = \"2s\" }\n";

// Keys are copied, too; see add_wrapping_key().
inline const std::string kCopying = std::string(kQuick) + "replication = \"wrap\"\nwrapping_key = \"wrap\"\n";

inline CK_ATTRIBUTE flag(CK_ATTRIBUTE_TYPE type, const CK_BBOOL& value) {
  return {type, const_cast<CK_BBOOL*>(&value), sizeof value};
}
inline constexpr CK_BBOOL kYes = CK_TRUE, kNo = CK_FALSE;

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
        CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                               {CKA_KEY_TYPE, &type, sizeof type},
                               {CKA_VALUE, value, sizeof value},
                               {CKA_LABEL, label, 4},
                               flag(CKA_TOKEN, kYes),
                               flag(CKA_PRIVATE, kYes),
                               flag(CKA_WRAP, kYes),
                               flag(CKA_UNWRAP, kYes)};
        CK_OBJECT_HANDLE key = 0;
        ASSERT_EQ(application->C_CreateObject(session, tmpl, std::size(tmpl), &key), CKR_OK);
      }));
  }
  static CK_RV generate(TestApplication& application, CK_SESSION_HANDLE session, std::string label,
                        CK_OBJECT_HANDLE& key, CK_BBOOL extractable = CK_TRUE) {
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_ULONG size = 16;
    CK_ATTRIBUTE tmpl[] = {flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_ENCRYPT, kYes),
                           flag(CKA_EXTRACTABLE, extractable),
                           {CKA_VALUE_LEN, &size, sizeof size},
                           {CKA_LABEL, label.data(), label.size()}};
    return application->C_GenerateKey(session, &mechanism, tmpl, std::size(tmpl), &key);
  }
  // An EC key pair "pair"; of the private half nothing is said but this.
  static CK_RV generate_pair(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE& public_key,
                             CK_OBJECT_HANDLE& private_key, std::vector<CK_ATTRIBUTE> more = {}) {
    CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, id[] = {9};
    char label[] = "pair";
    CK_ATTRIBUTE public_template[] = {{CKA_EC_PARAMS, curve, sizeof curve},
                                      flag(CKA_TOKEN, kYes),
                                      flag(CKA_PRIVATE, kNo),
                                      flag(CKA_VERIFY, kYes),
                                      {CKA_ID, id, 1},
                                      {CKA_LABEL, label, 4}};
    std::vector<CK_ATTRIBUTE> private_template{
        flag(CKA_TOKEN, kYes), flag(CKA_PRIVATE, kYes), flag(CKA_SIGN, kYes), {CKA_ID, id, 1}, {CKA_LABEL, label, 4}};
    private_template.insert(private_template.end(), more.begin(), more.end());
    return application->C_GenerateKeyPair(session, &mechanism, public_template, std::size(public_template),
                                          private_template.data(), private_template.size(), &public_key, &private_key);
  }
  // So many times, wherever the pool has it done.
  static void sign_and_verify(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE public_key,
                              CK_OBJECT_HANDLE private_key, int times) {
    CK_MECHANISM ecdsa{CKM_ECDSA, nullptr, 0};
    CK_BYTE digest[32] = {1}, signature[64];
    for (int i = 0; i < times; ++i) {
      CK_ULONG size = sizeof signature;
      ASSERT_EQ(application->C_SignInit(session, &ecdsa, private_key), CKR_OK);
      ASSERT_EQ(application->C_Sign(session, digest, sizeof digest, signature, &size), CKR_OK);
      ASSERT_EQ(application->C_VerifyInit(session, &ecdsa, public_key), CKR_OK);
      EXPECT_EQ(application->C_Verify(session, digest, sizeof digest, signature, size), CKR_OK);
    }
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
      if (const pid_t worker = member_worker(proxyd, "hsm" + std::to_string(member), domain); worker > 0)
        ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] { return !serves(proxyd, member); }));
  }
  static nlohmann::json sync(const PrivateProxyd& proxyd, bool dry_run = true) {
    const auto answer = proxyd.ask(std::string("{\"command\":\"pool-sync\",\"arguments\":{\"dry_run\":") +
                                   (dry_run ? "true" : "false") + "}}");
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
  // A call is under way in its user's worker.
  static bool is_working(const PrivateProxyd& proxyd, const std::string& member) {
    const auto status = member_status(proxyd, member);
    for (const auto& worker : status.value("workers", nlohmann::json::array()))
      if (worker["domain"] == "user" && worker["busy_lanes"] != 0) return true;
    return false;
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

}  // namespace p11shim
