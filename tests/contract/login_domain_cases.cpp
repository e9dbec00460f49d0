// Calls that name objects from before and after a login or logout.
#include "cases.h"

namespace p11shim::contract {
namespace {

const std::initializer_list<CK_ATTRIBUTE_TYPE> kRead = {CKA_CLASS, CKA_KEY_TYPE, CKA_LABEL,
                                                        CKA_TOKEN, CKA_PRIVATE,  CKA_VALUE};

Template public_aes(const char* label) { return aes(32, label).with({{CKA_PRIVATE, false}}); }
Template private_aes(const char* label) { return aes(32, label).with({{CKA_PRIVATE, true}}); }

Template made(bool is_private) {
  return {{CKA_CLASS, CKO_SECRET_KEY}, {CKA_KEY_TYPE, CKK_AES}, {CKA_LABEL, "made"},    {CKA_TOKEN, false},
          {CKA_PRIVATE, is_private},   {CKA_SENSITIVE, false},  {CKA_EXTRACTABLE, true}};
}

void must_log_in(Application& app, Recorder::Session session) {
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
}

// Wraps each with the other, and unwraps to a private and to a public key.
void wrap_both_ways(Application& app, Recorder::Session session, Recorder::Object one, Recorder::Object other) {
  for (const auto& [wraps, key] : {std::pair(one, other), std::pair(other, one)}) {
    Mechanism wrap(CKM_AES_KEY_WRAP);
    app.wrap_key(session, &wrap, wraps, key, Room::query());
    const Outcome wrapped = app.wrap_key(session, &wrap, wraps, key, Room::of(512));
    for (const bool is_private : {false, true}) {
      CK_OBJECT_HANDLE back = 0;
      if (app.unwrap_key(session, &wrap, wraps, wrapped.bytes, made(is_private), &back) == CKR_OK)
        app.get_attribute_value(session, back, roomy(kRead));
    }
  }
}

void wrap_across_login(Application& app) {
  app.start();
  const auto session = app.open();
  const auto before = app.create(session, public_aes("before"));
  must_log_in(app, session);
  wrap_both_ways(app, session, before, app.create(session, private_aes("private")));
  wrap_both_ways(app, session, before, app.create(session, public_aes("public")));
  wrap_both_ways(app, session, before, app.create(session, private_aes("kept").with({{CKA_TOKEN, true}})));
  app.find_all(session, {});
  app.finalize();
}

void wrap_with_rsa_across_login(Application& app) {
  app.start();
  const auto session = app.open();
  const auto before = app.create(session, rsa_public());
  must_log_in(app, session);
  const auto key = app.create(session, private_aes("private"));
  Mechanism pkcs(CKM_RSA_PKCS), pad(CKM_AES_KEY_WRAP_PAD);
  const Outcome wrapped = app.wrap_key(session, &pkcs, before, key, Room::of(512));
  CK_OBJECT_HANDLE back = 0;
  if (app.unwrap_key(session, &pkcs, app.create(session, rsa_private()), wrapped.bytes, made(true), &back) == CKR_OK)
    app.get_attribute_value(session, back, roomy(kRead));
  app.wrap_key(session, &pad, key, before, Room::of(512));  // a public key
  app.wrap_key(session, &pad, key, app.create(session, data_object()), Room::of(512));
  app.finalize();
}

void wrap_after_logout(Application& app) {
  app.start();
  const auto session = app.open();
  must_log_in(app, session);
  const auto during = app.create(session, public_aes("during"));
  app.must(app.logout(session), "C_Logout");
  wrap_both_ways(app, session, during, app.create(session, public_aes("after")));
  app.finalize();
}

void sensitive_key_across_login(Application& app) {
  app.start();
  const auto session = app.open();
  const auto before = app.create(session, public_aes("before").with({{CKA_SENSITIVE, true}}));
  const auto open = app.create(session, public_aes("open"));
  must_log_in(app, session);
  Mechanism wrap(CKM_AES_KEY_WRAP);
  // Where both are, or where the other one can be brought.
  const auto after = app.create(session, public_aes("public"));
  const Outcome wrapped = app.wrap_key(session, &wrap, before, open, Room::of(512));
  app.wrap_key(session, &wrap, open, before, Room::of(512));
  app.wrap_key(session, &wrap, before, after, Room::of(512));
  app.wrap_key(session, &wrap, after, before, Room::of(512));
  CK_OBJECT_HANDLE back = 0;
  app.unwrap_key(session, &wrap, before, wrapped.bytes, made(false), &back);
  // Neither can be brought to the other.
  app.wrap_key(session, &wrap, before, app.create(session, private_aes("private")), Room::of(512));
  app.unwrap_key(session, &wrap, before, wrapped.bytes, made(true), &back);
  app.finalize();
}

void derive_across_login(Application& app) {
  app.start();
  const auto session = app.open(), read_only = app.open(CKF_SERIAL_SESSION);
  const auto before = app.create(session, public_aes("before"));
  Mechanism data = Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(32, 1));
  const auto derive = [&](Recorder::Session in, const Template& attributes) {
    CK_OBJECT_HANDLE key = 0;
    if (app.derive_key(in, &data, before, attributes, &key) == CKR_OK) app.get_attribute_value(in, key, roomy(kRead));
  };
  derive(session, made(true).with({{CKA_VALUE_LEN, 16ul}}));
  must_log_in(app, session);
  for (const bool is_private : {false, true})
    for (const bool is_token : {false, true}) {
      derive(session, made(is_private).with({{CKA_VALUE_LEN, 16ul}, {CKA_TOKEN, is_token}}));
      derive(read_only, made(is_private).with({{CKA_VALUE_LEN, 16ul}, {CKA_TOKEN, is_token}}));
    }
  app.find_all(session, {{CKA_LABEL, "made"}});
  app.finalize();
}

void copy_across_login(Application& app) {
  app.start();
  const auto session = app.open();
  const auto before = app.create(session, public_aes("before"));
  app.must(app.login(session, CKU_USER, kUserPin), "C_Login");
  for (const bool is_private : {false, true})
    for (const bool is_token : {false, true}) {
      CK_OBJECT_HANDLE copy = 0;
      if (app.copy_object(session, before, {{CKA_PRIVATE, is_private}, {CKA_TOKEN, is_token}}, &copy) == CKR_OK)
        app.get_attribute_value(session, copy, roomy(kRead));
    }
  app.find_all(session, {{CKA_LABEL, "before"}});
  app.finalize();
}

void digest_key_across_login(Application& app) {
  app.start();
  const auto session = app.open();
  Mechanism sha(CKM_SHA256);
  app.must(app.digest_init(session, &sha), "C_DigestInit");
  must_log_in(app, session);
  const auto other = app.open();
  app.digest_key(session, app.create(other, public_aes("public")));
  app.digest_final(session, Room::of(32));
  app.must(app.digest_init(session, &sha), "C_DigestInit");
  app.must(app.logout(session), "C_Logout");
  app.digest_key(session, app.create(other, public_aes("after")));
  app.digest_final(session, Room::of(32));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(wrap_across_login),          P11_CASE(wrap_with_rsa_across_login), P11_CASE(wrap_after_logout),
    P11_CASE(sensitive_key_across_login), P11_CASE(derive_across_login),        P11_CASE(copy_across_login),
    P11_CASE(digest_key_across_login),
};

}  // namespace

std::span<const Case> login_domain_cases() { return kCases; }

}  // namespace p11shim::contract
