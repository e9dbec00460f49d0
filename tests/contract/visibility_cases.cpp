// Who sees which object when: session and token objects, public and private, before and after login and closing.
#include "cases.h"

namespace p11shim::contract {
namespace {

const std::initializer_list<CK_ATTRIBUTE_TYPE> kRead = {CKA_LABEL, CKA_TOKEN, CKA_PRIVATE};

void session_objects_die_with_their_session(Application& app) {
  const auto session = app.start_logged_in();
  const auto other = app.open();
  const auto mine = app.create(session, data_object("mine"));
  const auto theirs = app.create(other, data_object("theirs"));
  const auto token = app.create(other, stored("token"));
  app.find_all(session, {});
  app.close_session(other);
  app.get_attribute_value(session, mine, roomy(kRead));
  app.get_attribute_value(session, theirs, roomy(kRead));
  app.get_attribute_value(session, token, roomy(kRead));
  app.find_all(session, {});
  app.finalize();
}

void session_objects_seen_by_other_sessions(Application& app) {
  const auto session = app.start_logged_in();
  const auto other = app.open(0);
  const auto object = app.create(session, data_object("shared"));
  const auto key = app.create(session, aes(16, "shared"));
  app.get_attribute_value(other, object, roomy(kRead));
  app.find_all(other, {{CKA_LABEL, "shared"}});
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(other, &ecb, key);
  app.encrypt(other, Bytes(16), Room::of(16));
  app.finalize();
}

void session_objects_and_logout(Application& app) {
  const auto session = app.start_logged_in();
  const auto public_object = app.create(session, data_object("public"));
  const auto private_object = app.create(session, aes(16, "private"));
  app.logout(session);
  app.get_attribute_value(session, public_object, roomy(kRead));
  app.get_attribute_value(session, private_object, roomy(kRead));
  app.find_all(session, {});
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.get_attribute_value(session, public_object, roomy(kRead));
  app.find_all(session, {});
  app.finalize();
}

void session_objects_from_before_login(Application& app) {
  app.start();
  const auto session = app.open();
  const auto object = app.create(session, data_object("early"));
  app.find_all(session, {});
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.get_attribute_value(session, object, roomy(kRead));
  app.find_all(session, {});
  app.set_attribute_value(session, object, {{CKA_LABEL, "renamed"}});
  app.create(session, data_object("late"));
  app.find_all(session, {});
  app.logout(session);
  app.get_attribute_value(session, object, roomy(kRead));
  app.find_all(session, {});
  app.destroy_object(session, object);
  app.find_all(session, {});
  app.finalize();
}

void session_key_from_before_login(Application& app) {
  app.start();
  const auto session = app.open();
  CK_OBJECT_HANDLE key = 0;
  if (app.create_object(session, aes().with({{CKA_PRIVATE, false}}), &key) != CKR_OK) return;
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.logout(session);
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.finalize();
}

void token_objects_before_and_after_login(Application& app) {
  auto session = app.start_logged_in();
  app.create(session, stored("public"));
  app.create(session, stored_privately("private"));
  app.create(session, aes(16, "key").with({{CKA_TOKEN, true}}));
  app.finalize();
  app.start();
  session = app.open();
  app.find_all(session, {});
  app.find_all(session, {{CKA_PRIVATE, true}});
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.find_all(session, {});
  app.logout(session);
  app.find_all(session, {});
  app.finalize();
}

// What is done with a session that may still have an operation under way must not show on another.
void handles_after_an_abandoned_operation(Application& app) {
  auto session = app.start_logged_in();
  const auto object = app.create(session, stored("public"));
  app.logout(session);
  const auto keep = app.open(0);
  Mechanism sha256(CKM_SHA256);
  for (int round = 0; round < 3; ++round) {
    app.digest_init(session, &sha256);
    app.digest_update(session, "unfinished");
    app.close_session(session);
    app.get_attribute_value(keep, object, roomy(kRead));
    app.find_all(keep, {});
    session = app.open();
    app.get_attribute_value(session, object, roomy(kRead));
  }
  app.finalize();
}

void private_handle_after_logout(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, stored_privately("private"));
  const auto key = app.create(session, aes().with({{CKA_TOKEN, true}}));
  app.logout(session);
  app.get_attribute_value(session, object, roomy(kRead));
  app.set_attribute_value(session, object, {{CKA_LABEL, "x"}});
  app.destroy_object(session, object);
  CK_ULONG size = 0;
  app.get_object_size(session, object, &size);
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, key);
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  app.get_attribute_value(session, object, roomy(kRead));
  app.finalize();
}

void public_handle_across_logins(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, stored("public"));
  for (int i = 0; i < 3; ++i) {
    app.logout(session);
    app.get_attribute_value(session, object, roomy(kRead));
    app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
    app.get_attribute_value(session, object, roomy(kRead));
  }
  app.finalize();
}

void handles_of_another_token(Application& app) {
  const auto session = app.start_logged_in();
  const auto there = app.open_at(app.other_slot);
  app.login(there, CKU_USER, kUserPin);
  const auto object = app.create(session, stored("here"));
  const auto key = app.create(session, aes());
  app.get_attribute_value(there, object, roomy(kRead));
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(there, &ecb, key);
  app.destroy_object(there, object);
  app.find_all(there, {{CKA_LABEL, "here"}});
  app.finalize();
}

void closing_all_destroys_session_objects(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object("gone"));
  app.close_all_sessions(app.slot);
  const auto next = app.open();
  app.get_attribute_value(next, object, roomy(kRead));
  app.find_all(next, {});
  app.finalize();
}

void many_session_objects_closed(Application& app) {
  const auto keep = app.start_logged_in();
  for (int round = 0; round < 5; ++round) {
    const auto session = app.open();
    for (int i = 0; i < 10; ++i) app.create(session, data_object("many"));
    app.find_all(keep, {});
    app.close_session(session);
    app.find_all(keep, {});
  }
  app.finalize();
}

void generated_session_keys_closed(Application& app) {
  const auto keep = app.start_logged_in();
  const auto session = app.open();
  CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
  Mechanism aes_gen(CKM_AES_KEY_GEN), ec_gen(CKM_EC_KEY_PAIR_GEN);
  app.generate_key(session, &aes_gen, {{CKA_VALUE_LEN, 16}, {CKA_LABEL, "gone"}}, &key);
  app.generate_key_pair(session, &ec_gen, {{CKA_EC_PARAMS, p256_params()}, {CKA_LABEL, "gone"}}, {{CKA_LABEL, "gone"}},
                        &public_key, &private_key);
  app.find_all(keep, {});
  app.close_session(session);
  app.find_all(keep, {});
  app.get_attribute_value(keep, key, roomy(kRead));
  app.get_attribute_value(keep, public_key, roomy(kRead));
  app.get_attribute_value(keep, private_key, roomy(kRead));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(session_objects_die_with_their_session),
    P11_CASE(session_objects_seen_by_other_sessions),
    P11_CASE(session_objects_and_logout),
    P11_CASE(session_objects_from_before_login),
    P11_CASE(session_key_from_before_login),
    P11_CASE(token_objects_before_and_after_login),
    P11_CASE(handles_after_an_abandoned_operation),
    P11_CASE(private_handle_after_logout),
    P11_CASE(public_handle_across_logins),
    P11_CASE(handles_of_another_token),
    P11_CASE(closing_all_destroys_session_objects),
    P11_CASE(many_session_objects_closed),
    P11_CASE(generated_session_keys_closed),
};

}  // namespace

std::span<const Case> visibility_cases() { return kCases; }

}  // namespace p11shim::contract
