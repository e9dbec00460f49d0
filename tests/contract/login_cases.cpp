// Logging in and out (section 5.6).
#include "cases.h"

namespace p11shim::contract {
namespace {

void login_and_logout(Application& app) {
  app.start();
  const auto session = app.open();
  app.logout(session);
  app.login(session, CKU_USER, kUserPin);
  app.logout(session);
  app.logout(session);
  app.login(session, CKU_SO, kSoPin);
  app.logout(session);
  app.logout(session);
  app.finalize();
}

void login_wrong_pins(Application& app) {
  app.start();
  const auto session = app.open();
  CK_SESSION_INFO info;
  for (CK_USER_TYPE user : {CKU_USER, CKU_SO}) {
    app.login(session, user, "wrong");
    app.login(session, user, "");
    app.login(session, user, "abc");
    app.login(session, user, Bytes(300, 'x'));
    app.login(session, user, user == CKU_USER ? kSoPin : kUserPin);
    app.get_session_info(session, &info);
  }
  app.login(session, CKU_USER, kUserPin);
  app.get_session_info(session, &info);
  app.finalize();
}

void login_null_pins(Application& app) {
  app.start();
  const auto session = app.open();
  for (CK_USER_TYPE user : {CKU_USER, CKU_SO}) {
    app.login(session, user, Input::null());
    app.login(session, user, Input::null(8));
  }
  app.finalize();
}

void login_user_types(Application& app) {
  app.start();
  const auto session = app.open();
  app.login(session, 3, kUserPin);
  app.login(session, 0xffffffffUL, kUserPin);
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.login(session, 3, kUserPin);
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.finalize();
}

void login_sessions_that_are_not(Application& app) {
  app.start();
  app.login(Application::kNoSession, CKU_USER, kUserPin);
  app.login(CK_INVALID_HANDLE, CKU_SO, kSoPin);
  app.logout(Application::kNoSession);
  const auto session = app.open();
  app.close_session(session);
  app.login(session, CKU_USER, kUserPin);
  app.finalize();
}

void login_twice(Application& app) {
  app.start();
  const auto first = app.open(), second = app.open();
  app.must(app.login(first, CKU_USER, kUserPin), "C_Login");
  app.login(first, CKU_USER, kUserPin);
  app.login(second, CKU_USER, kUserPin);
  app.login(second, CKU_USER, "wrong");
  app.login(second, CKU_SO, kSoPin);
  app.login(second, CKU_SO, "wrong");
  app.logout(second);
  if (app.login(first, CKU_SO, kSoPin) != CKR_OK) return;
  app.login(second, CKU_SO, kSoPin);
  app.login(second, CKU_USER, kUserPin);
  app.login(second, CKU_USER, "wrong");
  app.finalize();
}

void login_so_and_read_only_sessions(Application& app) {
  app.start();
  const auto ro = app.open(0), rw = app.open();
  CK_SESSION_HANDLE more = 0;
  app.login(rw, CKU_SO, kSoPin);
  app.login(ro, CKU_SO, kSoPin);
  app.login(ro, CKU_SO, "wrong");
  app.close_session(ro);
  if (app.login(rw, CKU_SO, kSoPin) != CKR_OK) return;
  app.open_session(app.slot, CKF_SERIAL_SESSION, &more);
  app.open_session(app.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &more);
  app.logout(rw);
  app.open_session(app.slot, CKF_SERIAL_SESSION, &more);
  app.finalize();
}

void login_on_two_tokens(Application& app) {
  app.start();
  const auto here = app.open(), there = app.open_at(app.other_slot);
  CK_SESSION_INFO info;
  app.must(app.login(here, CKU_USER, kUserPin), "C_Login");
  app.get_session_info(there, &info);
  app.login(there, CKU_USER, "wrong");
  app.login(there, CKU_USER, kUserPin);
  app.logout(here);
  app.get_session_info(here, &info);
  app.get_session_info(there, &info);
  app.finalize();
}

void login_so_sees_no_private_objects(Application& app) {
  const auto session = app.start_logged_in();
  app.create(session, stored_privately("private"));
  app.create(session, stored("public"));
  app.logout(session);
  if (app.login(session, CKU_SO, kSoPin) != CKR_OK) return;
  app.find_all(session, {});
  CK_OBJECT_HANDLE object = 0;
  app.create_object(session, stored("by SO"), &object);
  app.create_object(session, stored_privately("by SO"), &object);
  app.create_object(session, aes(16, "by SO"), &object);
  app.finalize();
}

void login_needed_for_private_keys(Application& app) {
  app.start();
  const auto session = app.open();
  CK_OBJECT_HANDLE object = 0, other = 0;
  Mechanism aes_gen(CKM_AES_KEY_GEN), rsa_gen(CKM_RSA_PKCS_KEY_PAIR_GEN);
  app.create_object(session, aes(), &object);
  app.create_object(session, aes().with({{CKA_PRIVATE, false}}), &object);
  app.create_object(session, rsa_private(), &object);
  app.generate_key(session, &aes_gen, {{CKA_VALUE_LEN, 16}, {CKA_PRIVATE, true}}, &object);
  app.generate_key(session, &aes_gen, {{CKA_VALUE_LEN, 16}, {CKA_PRIVATE, false}}, &object);
  app.generate_key_pair(session, &rsa_gen, {{CKA_MODULUS_BITS, 1024}}, {{CKA_PRIVATE, true}}, &object, &other);
  app.finalize();
}

void logout_ends_operations(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes());
  const auto public_key = app.create(session, aes().with({{CKA_PRIVATE, false}}));
  Mechanism ecb(CKM_AES_ECB), hmac(CKM_SHA256_HMAC), sha(CKM_SHA256);
  app.must(app.encrypt_init(session, &ecb, key), "C_EncryptInit");
  app.logout(session);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.encrypt_init(session, &ecb, key);
  app.encrypt_init(session, &ecb, public_key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.digest_init(session, &sha);
  app.digest_update(session, "one ");
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.digest_update(session, "two");
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void logout_during_find(Application& app) {
  const auto session = app.start_logged_in();
  for (const char* label : {"one", "two", "three"}) app.create(session, aes(16, label));
  app.find_objects_init(session, {{CKA_PRIVATE, true}});
  app.find_objects(session, 1);
  app.logout(session);
  app.find_objects_final(session);
  app.find_all(session, {});
  app.finalize();
}

// Operations go on across a login, and the session uses private objects beside them.
void login_during_operations(Application& app) {
  app.start();
  const auto digesting = app.open(), searching = app.open(), both = app.open();
  Mechanism sha(CKM_SHA256), hmac(CKM_SHA256_HMAC), aes_gen(CKM_AES_KEY_GEN);
  CK_OBJECT_HANDLE key = 0;
  app.digest_init(digesting, &sha);
  app.digest_update(digesting, "before ");
  app.find_objects_init(searching, Template{});
  app.digest_init(both, &sha);
  app.must(app.login(both, CKU_USER, kUserPin), "C_Login");
  for (auto session : {digesting, searching, both}) {
    app.create_object(session, generic(), &key);
    app.generate_key(session, &aes_gen, {{CKA_VALUE_LEN, 16}, {CKA_PRIVATE, true}}, &key);
    app.sign_init(session, &hmac, key);
    app.sign(session, "data", Room::of(32));
  }
  app.digest_update(digesting, "after");
  app.digest_final(digesting, Room::of(32));
  app.find_objects(searching, 10);
  app.find_objects_final(searching);
  app.digest_final(both, Room::of(32));
  for (auto session : {digesting, searching, both}) {
    app.sign_init(session, &hmac, app.create(session, generic()));
    app.sign(session, "data", Room::of(32));
  }
  app.finalize();
}

void login_user_by_name(Application& app) {
  app.start();
  const auto session = app.open();
  app.login_user(session, CKU_USER, kUserPin, "somebody");
  app.login_user(session, CKU_USER, kUserPin, Input::null());
  app.login_user(session, CKU_USER, "wrong", Input::null());
  app.finalize();
}

void always_authenticate(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, rsa_private().with({{CKA_ALWAYS_AUTHENTICATE, true}}));
  app.get_attribute_value(session, key, roomy({CKA_ALWAYS_AUTHENTICATE}));
  Mechanism pkcs(CKM_SHA256_RSA_PKCS);
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.sign_init(session, &pkcs, key);
  app.sign(session, "data", Room::of(256));
  app.sign_init(session, &pkcs, key);
  app.login(session, CKU_CONTEXT_SPECIFIC, "wrong");
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.sign(session, "data", Room::query());
  app.sign(session, "data", Room::of(256));
  app.sign(session, "data", Room::of(256));
  app.sign_init(session, &pkcs, key);
  app.sign(session, "data", Room::of(256));
  app.finalize();
}

void always_authenticate_multipart(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, rsa_private().with({{CKA_ALWAYS_AUTHENTICATE, true}}));
  Mechanism pkcs(CKM_SHA256_RSA_PKCS), raw(CKM_RSA_PKCS);
  app.sign_init(session, &pkcs, key);
  app.sign_update(session, "before login");
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.sign_update(session, "after login");
  app.sign_final(session, Room::of(256));
  app.decrypt_init(session, &raw, key);
  app.decrypt(session, pattern(256), Room::of(256));
  app.decrypt_init(session, &raw, key);
  app.login(session, CKU_CONTEXT_SPECIFIC, kUserPin);
  app.decrypt(session, pattern(256), Room::of(256));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(login_and_logout),
    P11_CASE(login_wrong_pins),
    P11_CASE(login_null_pins),
    P11_CASE(login_user_types),
    P11_CASE(login_sessions_that_are_not),
    P11_CASE(login_twice),
    P11_CASE(login_so_and_read_only_sessions),
    P11_CASE(login_on_two_tokens),
    P11_CASE(login_so_sees_no_private_objects),
    P11_CASE(login_needed_for_private_keys),
    P11_CASE(logout_ends_operations),
    P11_CASE(logout_during_find),
    P11_CASE(login_during_operations),
    P11_CASE(login_user_by_name),
    P11_CASE(always_authenticate),
    P11_CASE(always_authenticate_multipart),
};

}  // namespace

std::span<const Case> login_cases() { return kCases; }

}  // namespace p11shim::contract
