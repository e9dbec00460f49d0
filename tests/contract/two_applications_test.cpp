// What two applications of one proxy see of each other: what two processes of their own would, and no more.
#include "two_applications.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string_view>

namespace p11shim::contract {
namespace {

constexpr char kNewPin[] = "new-pin-9999";

// Numbers that both processes see.
class Shared {
 public:
  Shared()
      : numbers_(
            static_cast<CK_ULONG*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Shared() { munmap(numbers_, 4096); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  CK_ULONG& operator[](std::size_t i) const { return numbers_[i]; }

 private:
  CK_ULONG* numbers_;
};

CK_STATE state(Application& app, CK_SESSION_HANDLE session) {
  CK_SESSION_INFO info{};
  expect(app.get_session_info(session, &info), CKR_OK, "C_GetSessionInfo");
  return info.state;
}

std::size_t count(Application& app, CK_SESSION_HANDLE session, const Template& attributes = {}) {
  return app.find_all(session, attributes).objects.size();
}

struct Setting {
  const char* name;
  const char* backend;
  const char* module_lines;
};
constexpr Setting kSettings[] = {{"softhsm", "softhsm", ""},
                                 {"nss", "nss", ""},
                                 // No PIN is too old to be compared, since the token cannot be asked.
                                 {"softhsm_shared", "softhsm", "isolation = \"shared\"\npin_recheck = \"0s\"\n"}};

class TwoApplicationsTest : public testing::TestWithParam<Setting> {
 protected:
  void SetUp() override {
    if (Backend::named(GetParam().backend)->module().empty()) GTEST_SKIP() << GetParam().backend << " is not installed";
    two_.a("starts", [this](Application& app) {
      app.start();
      session_ = app.open();
    });
    two_.b("starts", [this](Application& app) {
      app.start();
      session_ = app.open();
    });
  }
  void a_logs_in() {
    two_.a("logs in", [this](Application& app) { expect(app.login(session_, CKU_USER, kUserPin), CKR_OK, "C_Login"); });
  }
  void b_logs_in() {
    two_.b("logs in", [this](Application& app) { expect(app.login(session_, CKU_USER, kUserPin), CKR_OK, "C_Login"); });
  }
  static bool is(std::string_view setting) { return setting == GetParam().name; }
  void run() { EXPECT_EQ(two_.run(GetParam().backend, GetParam().module_lines), ""); }

  TwoApplications two_;
  Shared shared_;
  CK_SESSION_HANDLE session_ = 0;  // each process has its own
};

TEST_P(TwoApplicationsTest, ALoginOfOneGivesTheOtherNothing) {
  a_logs_in();
  two_.a("stores a private object", [this](Application& app) { app.create(session_, stored_privately("private")); });
  two_.b("is not logged in", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_PUBLIC_SESSION, "a public session");
    expect(count(app, session_) == 0, "no private object is found");
    CK_OBJECT_HANDLE object = 0;
    expect(app.create_object(session_, aes(), &object), CKR_USER_NOT_LOGGED_IN, "C_CreateObject");
  });
  two_.a("still is", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    expect(count(app, session_) == 1, "its object is found");
  });
  run();
}

TEST_P(TwoApplicationsTest, APrivateHandleOfOneIsNoneForTheOtherBeforeItsLogin) {
  a_logs_in();
  two_.a("stores a key", [this](Application& app) { shared_[0] = app.create(session_, stored_privately("key")); });
  two_.b("tries its handle", [this](Application& app) {
    expect(app.get_attribute_value(session_, shared_[0], roomy({CKA_LABEL})), CKR_OBJECT_HANDLE_INVALID, "reading");
    expect(app.destroy_object(session_, shared_[0]), CKR_OBJECT_HANDLE_INVALID, "destroying");
    Mechanism ecb(CKM_AES_ECB);
    expect(app.encrypt_init(session_, &ecb, shared_[0]) != CKR_OK, "encrypting is refused");
  });
  b_logs_in();
  two_.b("finds it by itself", [this](Application& app) {
    const Found found = app.find_all(session_, {{CKA_LABEL, "key"}});
    expect(found.objects.size() == 1, "one key");
    Mechanism ecb(CKM_AES_ECB);
    expect(app.encrypt_init(session_, &ecb, found.objects[0]), CKR_OK, "C_EncryptInit");
    expect(app.encrypt(session_, Bytes(16), Room::of(16)), CKR_OK, "C_Encrypt");
  });
  run();
}

TEST_P(TwoApplicationsTest, SessionsOfOneAreNoneOfTheOther) {
  two_.a("tells its session", [this](Application&) { shared_[0] = session_; });
  two_.b("tries it", [this](Application& app) {
    CK_SESSION_INFO info;
    if (shared_[0] == session_) {  // the same number, but each application's own session
      expect(app.close_session(session_), CKR_OK, "C_CloseSession");
      return;
    }
    expect(app.get_session_info(shared_[0], &info), CKR_SESSION_HANDLE_INVALID, "C_GetSessionInfo");
    expect(app.close_session(shared_[0]), CKR_SESSION_HANDLE_INVALID, "C_CloseSession");
  });
  two_.a("still has it", [this](Application& app) { state(app, session_); });
  run();
}

TEST_P(TwoApplicationsTest, SessionObjectsShowOnlyInTheirApplication) {
  a_logs_in();
  b_logs_in();
  two_.a("creates session objects", [this](Application& app) {
    shared_[0] = app.create(session_, data_object("of A"));
    shared_[1] = app.create(session_, aes(16, "of A"));
    Mechanism ec_gen(CKM_EC_KEY_PAIR_GEN);
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    expect(app.generate_key_pair(session_, &ec_gen, {{CKA_EC_PARAMS, p256_params()}, {CKA_LABEL, "of A"}},
                                 {{CKA_LABEL, "of A"}}, &public_key, &private_key),
           CKR_OK, "C_GenerateKeyPair");
    shared_[2] = public_key;
    shared_[3] = private_key;
    expect(count(app, session_) == 4, "A sees its four objects");
  });
  two_.b("sees none of them", [this](Application& app) {
    expect(count(app, session_) == 0, "nothing is found");
    for (std::size_t i = 0; i < 4; ++i) {
      expect(app.get_attribute_value(session_, shared_[i], roomy({CKA_LABEL})), CKR_OBJECT_HANDLE_INVALID, "reading");
      expect(app.destroy_object(session_, shared_[i]), CKR_OBJECT_HANDLE_INVALID, "destroying");
    }
    Mechanism ecb(CKM_AES_ECB);
    expect(app.encrypt_init(session_, &ecb, shared_[1]) != CKR_OK, "A's key cannot be used");
    app.create(session_, data_object("of B"));
    expect(count(app, session_) == 1, "B sees its own");
  });
  two_.a("sees only its own", [this](Application& app) { expect(count(app, session_) == 4, "four objects"); });
  run();
}

TEST_P(TwoApplicationsTest, PublicSessionObjectsShowOnlyInTheirApplicationToo) {
  two_.a("creates one", [this](Application& app) { shared_[0] = app.create(session_, data_object("of A")); });
  two_.b("does not see it", [this](Application& app) {
    expect(count(app, session_) == 0, "nothing is found");
    expect(app.get_attribute_value(session_, shared_[0], roomy({CKA_LABEL})), CKR_OBJECT_HANDLE_INVALID, "reading");
  });
  run();
}

TEST_P(TwoApplicationsTest, TokenObjectsShowInBoth) {
  a_logs_in();
  b_logs_in();
  two_.a("stores a certificate", [this](Application& app) { shared_[0] = app.create(session_, stored("shared")); });
  two_.a("reads it more than once", [this](Application& app) {
    for (int i = 0; i < 2; ++i)
      expect(app.get_attribute_value(session_, shared_[0], roomy({CKA_LABEL})).answers[0].value == from_text("shared"),
             "its name");
  });
  two_.b("reads and renames it", [this](Application& app) {
    const Found found = app.find_all(session_, {{CKA_LABEL, "shared"}});
    expect(found.objects.size() == 1, "one object");
    expect(app.set_attribute_value(session_, found.objects[0], {{CKA_LABEL, "renamed"}}), CKR_OK,
           "C_SetAttributeValue");
  });
  two_.a("sees the new name under the old handle", [this](Application& app) {
    const Attributes read = app.get_attribute_value(session_, shared_[0], roomy({CKA_LABEL}));
    expect(read, CKR_OK, "C_GetAttributeValue");
    expect(read.answers[0].value == from_text("renamed"), "renamed");
  });
  two_.b("destroys it", [this](Application& app) {
    expect(app.destroy_object(session_, app.find_all(session_, {{CKA_LABEL, "renamed"}}).objects.at(0)), CKR_OK,
           "C_DestroyObject");
  });
  two_.a("has it no more", [this](Application& app) {
    expect(count(app, session_) == 0, "nothing is found");
    expect(app.get_attribute_value(session_, shared_[0], roomy({CKA_LABEL})), CKR_OBJECT_HANDLE_INVALID, "reading");
  });
  run();
}

TEST_P(TwoApplicationsTest, ALogoutOfOneLeavesTheOtherLoggedIn) {
  a_logs_in();
  b_logs_in();
  two_.b("prepares", [this](Application& app) {
    shared_[0] = app.create(session_, aes(16, "of B"));
    Mechanism cbc(CKM_AES_CBC, Bytes(16));
    expect(app.encrypt_init(session_, &cbc, shared_[0]), CKR_OK, "C_EncryptInit");
    expect(app.encrypt_update(session_, Bytes(16), Room::of(32)), CKR_OK, "C_EncryptUpdate");
  });
  two_.a("logs out", [this](Application& app) {
    expect(app.logout(session_), CKR_OK, "C_Logout");
    expect(state(app, session_) == CKS_RW_PUBLIC_SESSION, "a public session");
  });
  two_.b("goes on", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    expect(app.encrypt_update(session_, Bytes(16), Room::of(32)), CKR_OK, "C_EncryptUpdate");
    expect(app.encrypt_final(session_, Room::of(32)), CKR_OK, "C_EncryptFinal");
    expect(count(app, session_, {{CKA_LABEL, "of B"}}) == 1, "its session key is there");
  });
  run();
}

TEST_P(TwoApplicationsTest, AWrongPinFailsAndCountsAtTheTokenAlsoWhileAnotherIsLoggedIn) {
  a_logs_in();
  two_.b("tries wrong PINs", [this](Application& app) {
    expect(app.login(session_, CKU_USER, "wrong"), CKR_PIN_INCORRECT, "C_Login");
    expect(app.login(session_, CKU_USER, ""), CKR_PIN_INCORRECT, "C_Login with an empty PIN");
    expect(state(app, session_) == CKS_RW_PUBLIC_SESSION, "a public session");
    CK_TOKEN_INFO info{};
    expect(app.get_token_info(app.slot, &info), CKR_OK, "C_GetTokenInfo");
    // NSS does not count; a process that is logged in already cannot ask.
    if (is("softhsm")) expect(info.flags & CKF_USER_PIN_COUNT_LOW, "the token counted");
  });
  b_logs_in();
  two_.a("still is logged in",
         [this](Application& app) { expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session"); });
  run();
}

TEST_P(TwoApplicationsTest, AfterAPinChangeOnlyTheNewPinIsTaken) {
  a_logs_in();
  two_.a("changes the PIN",
         [this](Application& app) { expect(app.set_pin(session_, kUserPin, kNewPin), CKR_OK, "C_SetPIN"); });
  two_.b("logs in with the new one", [this](Application& app) {
    expect(app.login(session_, CKU_USER, kUserPin), CKR_PIN_INCORRECT, "the old PIN");
    expect(app.login(session_, CKU_USER, kNewPin), CKR_OK, "the new PIN");
    app.create(session_, stored_privately("of B"));
  });
  two_.a("goes on", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    expect(count(app, session_, {{CKA_LABEL, "of B"}}) == 1, "B's key is found");
    expect(app.logout(session_), CKR_OK, "C_Logout");
    expect(app.login(session_, CKU_USER, kUserPin), CKR_PIN_INCORRECT, "the old PIN");
    expect(app.login(session_, CKU_USER, kNewPin), CKR_OK, "the new PIN");
  });
  run();
}

TEST_P(TwoApplicationsTest, ThePinChangeOfOneDoesNotEndTheLoginOfTheOther) {
  a_logs_in();
  b_logs_in();
  two_.a("changes the PIN",
         [this](Application& app) { expect(app.set_pin(session_, kUserPin, kNewPin), CKR_OK, "C_SetPIN"); });
  two_.b("still works", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    app.create(session_, aes());
    expect(app.login(session_, CKU_USER, kUserPin), CKR_USER_ALREADY_LOGGED_IN, "C_Login");
  });
  run();
}

TEST_P(TwoApplicationsTest, TheSecurityOfficerSetsThePinWhileNobodyElseIsLoggedIn) {
  if (is("nss")) GTEST_SKIP() << "has no security officer once the user has a PIN";
  two_.a("sets it", [this](Application& app) {
    expect(app.login(session_, CKU_SO, kSoPin), CKR_OK, "C_Login");
    expect(app.init_pin(session_, kNewPin), CKR_OK, "C_InitPIN");
    expect(app.logout(session_), CKR_OK, "C_Logout");
  });
  two_.b("logs in", [this](Application& app) {
    expect(app.login(session_, CKU_USER, kUserPin), CKR_PIN_INCORRECT, "the old PIN");
    expect(app.login(session_, CKU_USER, kNewPin), CKR_OK, "the new PIN");
  });
  run();
}

TEST_P(TwoApplicationsTest, OneIsSecurityOfficerWhileTheOtherIsUser) {
  if (is("nss")) GTEST_SKIP() << "has no security officer once the user has a PIN";
  a_logs_in();
  two_.b("logs in as SO", [this](Application& app) {
    if (is("softhsm_shared")) {  // one process has one user
      expect(app.login(session_, CKU_SO, kSoPin) != CKR_OK, "C_Login is refused");
      return expect(state(app, session_) == CKS_RW_PUBLIC_SESSION, "a public session");
    }
    expect(app.login(session_, CKU_SO, kSoPin), CKR_OK, "C_Login");
    expect(state(app, session_) == CKS_RW_SO_FUNCTIONS, "an SO session");
  });
  two_.a("still is user", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    CK_SESSION_HANDLE read_only = 0;
    expect(app.open_session(app.slot, CKF_SERIAL_SESSION, &read_only), CKR_OK, "B's SO session is no concern of A's");
  });
  run();
}

TEST_P(TwoApplicationsTest, ATokenInUseByOneIsNotInitialisedByTheOther) {
  two_.b("tries", [this](Application& app) {
    expect(app.close_session(session_), CKR_OK, "C_CloseSession");
    expect(app.init_token(app.slot, kSoPin, "again"), CKR_SESSION_EXISTS, "C_InitToken");
  });
  two_.a("closes", [this](Application& app) { expect(app.close_session(session_), CKR_OK, "C_CloseSession"); });
  two_.b("initialises",
         [](Application& app) { expect(app.init_token(app.slot, kSoPin, "again"), CKR_OK, "C_InitToken"); });
  two_.a("sees it", [](Application& app) {
    CK_TOKEN_INFO info{};
    expect(app.get_token_info(app.slot, &info), CKR_OK, "C_GetTokenInfo");
    expect(!(info.flags & CKF_USER_PIN_INITIALIZED), "no user PIN");
  });
  run();
}

TEST_P(TwoApplicationsTest, ClosingAllSessionsClosesOnlyOnesOwn) {
  a_logs_in();
  b_logs_in();
  two_.a("closes all",
         [](Application& app) { expect(app.close_all_sessions(app.slot), CKR_OK, "C_CloseAllSessions"); });
  two_.b("goes on",
         [this](Application& app) { expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session"); });
  run();
}

TEST_P(TwoApplicationsTest, TheDeathOfOneLeavesNothingBehind) {
  a_logs_in();
  b_logs_in();
  two_.a("is busy", [this](Application& app) {
    const auto key = app.create(session_, aes(16, "of A"));
    Mechanism cbc(CKM_AES_CBC, Bytes(16));
    expect(app.encrypt_init(session_, &cbc, key), CKR_OK, "C_EncryptInit");
    expect(app.encrypt_update(session_, Bytes(16), Room::of(32)), CKR_OK, "C_EncryptUpdate");
    app.find_objects_init(session_, Template{});
  });
  two_.kill_a();
  two_.b("goes on, and may initialise once it is alone", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    expect(count(app, session_) == 0, "nothing of A's is found");
    expect(app.close_session(session_), CKR_OK, "C_CloseSession");
    // A's connection is noticed as closed before B's next call or shortly after: bounded tries.
    CK_RV rv = CKR_SESSION_EXISTS;
    for (int tries = 0; rv == CKR_SESSION_EXISTS && tries < 1000; ++tries)
      rv = app.init_token(app.slot, kSoPin, "again");
    expect(rv, CKR_OK, "C_InitToken");
  });
  run();
}

TEST_P(TwoApplicationsTest, FinalizingOneLeavesTheOther) {
  a_logs_in();
  b_logs_in();
  two_.b("makes a key", [this](Application& app) { shared_[0] = app.create(session_, aes(16, "of B")); });
  two_.a("finalises", [](Application& app) { expect(app.finalize(), CKR_OK, "C_Finalize"); });
  two_.b("goes on", [this](Application& app) {
    expect(state(app, session_) == CKS_RW_USER_FUNCTIONS, "a user session");
    Mechanism ecb(CKM_AES_ECB);
    expect(app.encrypt_init(session_, &ecb, shared_[0]), CKR_OK, "C_EncryptInit");
    expect(app.encrypt(session_, Bytes(16), Room::of(16)), CKR_OK, "C_Encrypt");
  });
  run();
}

TEST_P(TwoApplicationsTest, ASearchOfOneIsNotDisturbedByTheOther) {
  a_logs_in();
  b_logs_in();
  two_.a("begins a search", [this](Application& app) {
    for (const char* label : {"one", "two", "three"}) app.create(session_, stored(label));
    expect(app.find_objects_init(session_, Template{}), CKR_OK, "C_FindObjectsInit");
    expect(app.find_objects(session_, 1).objects.size() == 1, "one at a time");
  });
  two_.b("searches too", [this](Application& app) {
    expect(app.find_objects(session_, 1), CKR_OPERATION_NOT_INITIALIZED, "A's search is not B's");
    expect(count(app, session_) == 3, "all three");
  });
  two_.a("ends its own", [this](Application& app) {
    expect(app.find_objects(session_, 10).objects.size() == 2, "the other two");
    expect(app.find_objects_final(session_), CKR_OK, "C_FindObjectsFinal");
  });
  run();
}

INSTANTIATE_TEST_SUITE_P(On, TwoApplicationsTest, testing::ValuesIn(kSettings),
                         [](const auto& setting) { return std::string(setting.param.name); });

}  // namespace
}  // namespace p11shim::contract
