// C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal (section 5.7).
#include "cases.h"

namespace p11shim::contract {
namespace {

// A few objects of several classes, on the token and in the session.
Recorder::Session populated(Application& app) {
  const auto session = app.start_logged_in();
  for (bool token : {true, false}) {
    app.create(session, stored("one").with({{CKA_TOKEN, token}}));
    app.create(session, stored("two").with({{CKA_TOKEN, token}}));
    app.create(session, stored_privately("one").with({{CKA_TOKEN, token}}));
    app.create(session, stored_privately("two").with({{CKA_TOKEN, token}}));
  }
  app.create(session, data_object("one"));
  app.create(session, rsa_public("one"));
  app.create(session, rsa_private("one"));
  return session;
}

void find_by_templates(Application& app) {
  const auto session = populated(app);
  app.find_all(session, {});
  app.find_all(session, {{CKA_CLASS, CKO_DATA}});
  app.find_all(session, {{CKA_CLASS, CKO_SECRET_KEY}});
  app.find_all(session, {{CKA_CLASS, CKO_PRIVATE_KEY}, {CKA_KEY_TYPE, CKK_RSA}});
  app.find_all(session, {{CKA_LABEL, "one"}});
  app.find_all(session, {{CKA_LABEL, "one"}, {CKA_CLASS, CKO_CERTIFICATE}});
  app.find_all(session, {{CKA_LABEL, "nowhere"}});
  app.find_all(session, {{CKA_TOKEN, true}});
  app.find_all(session, {{CKA_TOKEN, false}});
  app.find_all(session, {{CKA_PRIVATE, true}});
  app.find_all(session, {{CKA_ID, Bytes{1, 2}}});
  app.find_all(session, {{CKA_VALUE, from_text("some data")}});
  app.find_all(session, {{CKA_ENCRYPT, true}});
  app.finalize();
}

void find_by_odd_templates(Application& app) {
  const auto session = populated(app);
  app.find_all(session, {{0x7fffff12UL, "unknown"}});
  app.find_all(session, {{CKA_CLASS, 0x7777}});
  app.find_all(session, {{CKA_CLASS, Bytes(3)}});
  app.find_all(session, {{CKA_LABEL, Bytes{}}});
  app.find_all(session, {Attribute::null(CKA_LABEL, 0)});
  app.find_all(session, {{CKA_LABEL, "one"}, {CKA_LABEL, "two"}});
  app.find_all(session, {{CKA_LABEL, "one"}, {CKA_LABEL, "one"}});
  app.find_all(session, {{CKA_VALUE, pattern(16, 7)}});  // a key's value
  app.find_all(session, {{CKA_TOKEN, Bytes(4)}});
  app.finalize();
}

void find_in_small_steps(Application& app) {
  const auto session = populated(app);
  for (CK_ULONG step : {1UL, 2UL, 3UL, 100UL}) app.find_all(session, {}, step);
  app.finalize();
}

void find_beyond_the_end(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, {{CKA_LABEL, "one"}, {CKA_CLASS, CKO_CERTIFICATE}});
  app.find_objects(session, 1);
  app.find_objects(session, 10);
  app.find_objects(session, 10);
  app.find_objects(session, 10);
  app.find_objects_final(session);
  app.find_objects_final(session);
  app.find_objects(session, 10);
  app.finalize();
}

void find_none_at_once(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, Template{});
  app.find_objects(session, 0);
  app.find_objects(session, 2);
  app.find_objects_final(session);
  app.finalize();
}

void find_null_places(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, Template{});
  app.find_objects_null(session, true, false);
  app.find_objects_null(session, false, true);
  app.find_objects(session, 2);
  app.find_objects_final(session);
  app.find_objects_init(session, nullptr);
  app.find_objects_final(session);
  app.finalize();
}

void find_without_init(Application& app) {
  const auto session = populated(app);
  app.find_objects(session, 1);
  app.find_objects_final(session);
  app.find_objects_init(Application::kNoSession, Template{});
  app.find_objects(Application::kNoSession, 1);
  app.find_objects_final(Application::kNoSession);
  app.finalize();
}

void find_twice_at_once(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, {{CKA_LABEL, "one"}});
  app.find_objects_init(session, {{CKA_LABEL, "two"}});
  app.find_objects(session, 100);
  app.find_objects_final(session);
  app.finalize();
}

void find_in_two_sessions(Application& app) {
  const auto session = populated(app);
  const auto other = app.open(0);
  app.find_objects_init(session, {{CKA_LABEL, "one"}});
  app.find_objects_init(other, {{CKA_LABEL, "two"}});
  app.find_objects(session, 1);
  app.find_objects(other, 1);
  app.find_objects(session, 100);
  app.find_objects(other, 100);
  app.find_objects_final(other);
  app.find_objects_final(session);
  app.finalize();
}

void find_while_creating(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, {{CKA_CLASS, CKO_CERTIFICATE}});
  app.find_objects(session, 1);
  app.create(session, data_object("late"));
  app.find_objects(session, 100);
  app.find_objects_final(session);
  app.finalize();
}

void find_while_destroying(Application& app) {
  const auto session = app.start_logged_in();
  const auto one = app.create(session, data_object("one"));
  const auto two = app.create(session, data_object("two"));
  app.find_objects_init(session, Template{});
  app.destroy_object(session, one);
  app.destroy_object(session, two);
  app.find_objects(session, 100);
  app.find_objects_final(session);
  app.find_all(session, {});
  app.finalize();
}

void find_while_digesting(Application& app) {
  const auto session = populated(app);
  Mechanism sha(CKM_SHA256);
  app.digest_init(session, &sha);
  app.digest_update(session, "one ");
  app.find_objects_init(session, {{CKA_LABEL, "one"}});
  app.find_objects(session, 100);
  app.digest_update(session, "two");
  app.find_objects_final(session);
  app.digest_final(session, Room::of(32));
  app.finalize();
}

void operations_while_finding(Application& app) {
  const auto session = populated(app);
  const auto key = app.create(session, aes());
  Mechanism ecb(CKM_AES_ECB), sha(CKM_SHA256), hmac(CKM_SHA256_HMAC);
  app.find_objects_init(session, {{CKA_LABEL, "one"}});
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.digest_init(session, &sha);
  app.digest(session, "data", Room::of(32));
  app.sign_init(session, &hmac, key);
  app.generate_random(session, Room::of(16));
  app.find_objects(session, 100);
  app.find_objects_final(session);
  app.finalize();
}

void find_read_while_finding(Application& app) {
  const auto session = populated(app);
  app.find_objects_init(session, {{CKA_LABEL, "two"}, {CKA_TOKEN, true}, {CKA_CLASS, CKO_CERTIFICATE}});
  for (auto object : app.find_objects(session, 10).objects) {
    app.get_attribute_value(session, object, lengths({CKA_CLASS, CKA_LABEL, CKA_VALUE}));
    app.get_attribute_value(session, object, roomy({CKA_CLASS, CKA_LABEL, CKA_VALUE}));
  }
  app.find_objects_final(session);
  app.finalize();
}

void find_many(Application& app) {
  const auto session = app.start_logged_in();
  for (int i = 0; i < 300; ++i) app.create(session, data_object(("object " + std::to_string(i)).c_str()));
  app.find_all(session, {}, 1000);
  app.find_all(session, {}, 64);
  app.find_objects_init(session, Template{});
  app.find_objects(session, 10);
  app.find_objects_final(session);
  app.finalize();
}

void find_after_logout_and_login(Application& app) {
  const auto session = app.start_logged_in();
  const auto public_object = app.create(session, stored("public"));
  app.create(session, stored_privately("private"));
  app.logout(session);
  Found found = app.find_all(session, {});
  app.note("public handle kept", found.objects == std::vector<CK_OBJECT_HANDLE>{public_object});
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  found = app.find_all(session, {});
  for (auto object : found.objects) app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_VALUE}));
  app.finalize();
}

void find_after_restart(Application& app) {
  auto session = app.start_logged_in();
  app.create(session, stored("stays"));
  app.create(session, stored_privately("stays, private"));
  app.create(session, data_object("goes"));
  app.create(session, aes().with({{CKA_TOKEN, true}}));
  app.create(session, ec_private().with({{CKA_TOKEN, true}}));
  app.create(session, ec_public().with({{CKA_TOKEN, true}}));
  app.finalize();
  session = app.start_logged_in();
  for (auto object : app.find_all(session, {}).objects)
    app.get_attribute_value(session, object, roomy({CKA_CLASS, CKA_LABEL, CKA_PRIVATE, CKA_ID}));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(find_by_templates),           P11_CASE(find_by_odd_templates),   P11_CASE(find_in_small_steps),
    P11_CASE(find_beyond_the_end),         P11_CASE(find_none_at_once),       P11_CASE(find_null_places),
    P11_CASE(find_without_init),           P11_CASE(find_twice_at_once),      P11_CASE(find_in_two_sessions),
    P11_CASE(find_while_creating),         P11_CASE(find_while_destroying),   P11_CASE(find_while_digesting),
    P11_CASE(operations_while_finding),    P11_CASE(find_read_while_finding), P11_CASE(find_many),
    P11_CASE(find_after_logout_and_login), P11_CASE(find_after_restart),
};

}  // namespace

std::span<const Case> find_cases() { return kCases; }

}  // namespace p11shim::contract
