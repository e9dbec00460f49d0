// Keys of one member that look the same and that nothing proves.
#pragma once

#include <map>

#include "pool_writes.h"

namespace p11shim {

inline constexpr CK_BYTE kFirst = 1, kSecond = 2;

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
  // In a new process nothing tells which of those that look the same is which. Both workers: SoftHSM's processes may lose a token that
  // another one writes to.
  static void start_anew(const PrivateProxyd& proxyd, const std::string& member) {
    std::map<std::string, pid_t> before{{"user", 0}, {"public", 0}};
    ASSERT_TRUE(eventually([&] {
      for (auto& [domain, worker] : before)
        if ((worker = member_worker(proxyd, member, domain)) <= 0) return false;
      return true;
    }));
    for (const auto& [domain, worker] : before) ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] {
      for (const auto& [domain, worker] : before) {
        const pid_t now = member_worker(proxyd, member, domain);
        if (now <= 0 || now == worker) return false;
      }
      return all_serve(proxyd);
    })) << proxyd.log();
  }
  // Behind the pool's back.
  static void destroy(PoolMembers& members, CK_BYTE fill, std::size_t member = 0) {
    members.alone(member, [&](TestApplication& application, auto session) {
      for (const auto key : application.find(session, CKO_SECRET_KEY, "twin"))
        if (value_of(application, session, key) == fill) {
          EXPECT_EQ(application->C_DestroyObject(session, key), CKR_OK);
        }
    });
  }
  // That the operator must say which one a debt means.
  static bool is_told(const PrivateProxyd& proxyd) {
    return proxyd.log().find("nothing proves which one is meant") != std::string::npos;
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

// On hsm1 there is a copy, and beside it what looks the same.
class PoolTwinsSeenLater : public PoolTwins {
 protected:
  static void make_copied(TestApplication& application, PrivateProxyd& proxyd, CK_SESSION_HANDLE& session,
                          CK_OBJECT_HANDLE& first) {
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    ASSERT_EQ(import_twin(application, session, kFirst, first), CKR_OK);
    ASSERT_TRUE(eventually([&] { return nobody_owes(proxyd); })) << sync(proxyd).dump();
  }
  // Through the pool, beside the copy on hsm1.
  static void make_beside(TestApplication& application, PrivateProxyd& proxyd, PoolMembers& members,
                          CK_SESSION_HANDLE session, const std::vector<CK_BYTE>& wrapped, CK_OBJECT_HANDLE& second) {
    take_away(proxyd, members, 0);
    ASSERT_EQ(unwrap_twin(application, session, wrapped, second), CKR_OK);
    members.rules(0).set("");
    ASSERT_TRUE(eventually([&] { return all_serve(proxyd) && nobody_owes(proxyd); })) << sync(proxyd).dump();
  }
  // Behind the pool's back, beside the copy on hsm1.
  static void import_beside(PoolMembers& members) {
    members.alone(1, [](TestApplication& other, auto session) {
      CK_OBJECT_HANDLE passing = 0, second = 0;
      EXPECT_EQ(import_twin(other, session, kSecond, passing), CKR_OK);
      const auto bytes = wrapped(other, session, passing);
      EXPECT_EQ(other->C_DestroyObject(session, passing), CKR_OK);
      EXPECT_EQ(unwrap_twin(other, session, bytes, second), CKR_OK);
    });
  }
  static bool owes_nothing(const PrivateProxyd& proxyd, std::size_t member) {
    const auto report = sync(proxyd);
    return !report.is_null() && report["members"][member]["owes"].empty();
  }
  // A key "gone" that what it does proves.
  static CK_RV import_proven(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE& key) {
    CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BYTE value[16] = {7};
    char label[] = "gone";
    CK_ATTRIBUTE tmpl[] = {{CKA_CLASS, &object_class, sizeof object_class},
                           {CKA_KEY_TYPE, &type, sizeof type},
                           {CKA_VALUE, value, sizeof value},
                           {CKA_LABEL, label, 4},
                           flag(CKA_TOKEN, kYes),
                           flag(CKA_PRIVATE, kYes),
                           flag(CKA_ENCRYPT, kYes),
                           flag(CKA_EXTRACTABLE, kYes)};
    return application->C_CreateObject(session, tmpl, std::size(tmpl), &key);
  }
  // By the pool's wrapping key.
  static CK_OBJECT_HANDLE wrapping_key(TestApplication& application, CK_SESSION_HANDLE session) {
    const auto keys = application.find(session, CKO_SECRET_KEY, "wrap");
    return keys.empty() ? CK_INVALID_HANDLE : keys.front();
  }
  static std::vector<CK_BYTE> wrapped(TestApplication& application, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key) {
    CK_MECHANISM mechanism{CKM_AES_KEY_WRAP, nullptr, 0};
    std::vector<CK_BYTE> bytes(64);
    CK_ULONG size = bytes.size();
    EXPECT_EQ(application->C_WrapKey(session, &mechanism, wrapping_key(application, session), key, bytes.data(), &size),
              CKR_OK);
    bytes.resize(size);
    return bytes;
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

}  // namespace p11shim
