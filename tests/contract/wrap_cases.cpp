// Wrapping and unwrapping keys (section 5.13).
#include "cases.h"

namespace p11shim::contract {
namespace {

const std::initializer_list<CK_ATTRIBUTE_TYPE> kRead = {CKA_CLASS,
                                                        CKA_KEY_TYPE,
                                                        CKA_LABEL,
                                                        CKA_LOCAL,
                                                        CKA_SENSITIVE,
                                                        CKA_EXTRACTABLE,
                                                        CKA_ALWAYS_SENSITIVE,
                                                        CKA_NEVER_EXTRACTABLE,
                                                        CKA_VALUE,
                                                        CKA_VALUE_LEN,
                                                        CKA_MODULUS};

Template unwrapped(CK_OBJECT_CLASS object_class, CK_KEY_TYPE type) {
  return {{CKA_CLASS, object_class}, {CKA_KEY_TYPE, type},   {CKA_LABEL, "unwrapped"},
          {CKA_TOKEN, false},        {CKA_SENSITIVE, false}, {CKA_EXTRACTABLE, true}};
}

void wrap_secret_key(Application& app, Mechanism mechanism, const Template& wrapping) {
  const auto session = app.start_crypto();
  const auto wraps = app.create(session, wrapping.with({{CKA_ID, Bytes{8}}}));
  const auto key = app.create(session, aes(32, "wrapped"));
  app.wrap_key(session, &mechanism, wraps, key, Room::query());
  app.wrap_key(session, &mechanism, wraps, key, Room::of(5));
  const Outcome wrapped = app.wrap_key(session, &mechanism, wraps, key, Room::of(512));
  CK_OBJECT_HANDLE back = 0;
  if (app.unwrap_key(session, &mechanism, wraps, wrapped.bytes, unwrapped(CKO_SECRET_KEY, CKK_AES), &back) == CKR_OK) {
    app.get_attribute_value(session, back, roomy(kRead));
    Mechanism ecb(CKM_AES_ECB);
    app.encrypt_init(session, &ecb, back);
    app.encrypt(session, Bytes(16), Room::of(16));
  }
  Bytes spoiled = wrapped.bytes;
  if (!spoiled.empty()) spoiled[0] ^= 1;
  app.unwrap_key(session, &mechanism, wraps, spoiled, unwrapped(CKO_SECRET_KEY, CKK_AES), &back);
  app.finalize();
}

void wrap_aes_key_wrap(Application& app) { wrap_secret_key(app, Mechanism(CKM_AES_KEY_WRAP), aes(32)); }
void wrap_aes_key_wrap_pad(Application& app) { wrap_secret_key(app, Mechanism(CKM_AES_KEY_WRAP_PAD), aes(32)); }
void wrap_aes_cbc(Application& app) { wrap_secret_key(app, Mechanism(CKM_AES_CBC, Bytes(16)), aes(16)); }
void wrap_aes_cbc_pad(Application& app) { wrap_secret_key(app, Mechanism(CKM_AES_CBC_PAD, Bytes(16)), aes(16)); }
void wrap_aes_ecb(Application& app) { wrap_secret_key(app, Mechanism(CKM_AES_ECB), aes(16)); }
void wrap_des3_cbc(Application& app) { wrap_secret_key(app, Mechanism(CKM_DES3_CBC, Bytes(8)), des3()); }

void wrap_with_rsa(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  const auto key = app.create(session, aes(32, "wrapped"));
  Mechanism pkcs(CKM_RSA_PKCS), oaep = Mechanism::oaep(CKM_SHA_1, CKG_MGF1_SHA1);
  for (Mechanism* mechanism : {&pkcs, &oaep}) {
    app.wrap_key(session, mechanism, public_key, key, Room::query());
    const Outcome wrapped = app.wrap_key(session, mechanism, public_key, key, Room::of(256));
    CK_OBJECT_HANDLE back = 0;
    if (app.unwrap_key(session, mechanism, private_key, wrapped.bytes, unwrapped(CKO_SECRET_KEY, CKK_AES), &back) ==
        CKR_OK)
      app.get_attribute_value(session, back, roomy(kRead));
  }
  app.finalize();
}

void wrap_private_key(Application& app) {
  const auto session = app.start_crypto();
  const auto wraps = app.create(session, aes(32));
  const auto rsa_key = app.create(session, rsa_private()), ec_key = app.create(session, ec_private());
  for (CK_MECHANISM_TYPE type : {CKM_AES_KEY_WRAP_PAD, CKM_AES_KEY_WRAP, CKM_AES_CBC_PAD}) {
    Mechanism mechanism = type == CKM_AES_CBC_PAD ? Mechanism(type, Bytes(16)) : Mechanism(type);
    for (auto key : {rsa_key, ec_key}) {
      const Outcome wrapped = app.wrap_key(session, &mechanism, wraps, key, Room::of(4096));
      if (wrapped.rv != CKR_OK) continue;
      CK_OBJECT_HANDLE back = 0;
      app.unwrap_key(session, &mechanism, wraps, wrapped.bytes,
                     unwrapped(CKO_PRIVATE_KEY, key == rsa_key ? CKK_RSA : CKK_EC).with({{CKA_SIGN, true}}), &back);
      Mechanism signs(CKM_SHA256_RSA_PKCS);
      if (key == rsa_key && app.sign_init(session, &signs, back) == CKR_OK) app.sign(session, "data", Room::of(256));
    }
  }
  app.finalize();
}

void wrap_refused(Application& app) {
  const auto session = app.start_crypto();
  const auto wraps = app.create(session, aes(32));
  const auto cannot = app.create(session, aes(32).with({{CKA_WRAP, false}, {CKA_UNWRAP, false}}));
  const auto locked = app.create(session, aes().with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
  const auto trusting = app.create(session, aes().with({{CKA_WRAP_WITH_TRUSTED, true}}));
  const auto data = app.create(session, data_object());
  const auto plain = app.create(session, aes());
  Mechanism mechanism(CKM_AES_KEY_WRAP), sha(CKM_SHA256);
  app.wrap_key(session, &mechanism, wraps, locked, Room::of(64));
  app.wrap_key(session, &mechanism, wraps, trusting, Room::of(64));
  app.wrap_key(session, &mechanism, wraps, data, Room::of(64));
  app.wrap_key(session, &mechanism, cannot, plain, Room::of(64));
  app.wrap_key(session, &mechanism, data, plain, Room::of(64));
  app.wrap_key(session, &sha, wraps, plain, Room::of(64));
  app.wrap_key(session, &mechanism, Application::kNoObject, plain, Room::of(64));
  app.wrap_key(session, &mechanism, wraps, Application::kNoObject, Room::of(64));
  app.wrap_key(session, nullptr, wraps, plain, Room::of(64));
  app.wrap_key(session, &mechanism, wraps, plain, Room::no_length(64));
  app.wrap_key(Application::kNoSession, &mechanism, wraps, plain, Room::of(64));
  app.finalize();
}

void unwrap_refused(Application& app) {
  const auto session = app.start_crypto();
  const auto wraps = app.create(session, aes(32));
  const auto cannot = app.create(session, aes(32).with({{CKA_UNWRAP, false}}));
  const auto plain = app.create(session, aes());
  Mechanism mechanism(CKM_AES_KEY_WRAP), sha(CKM_SHA256);
  const Template target = unwrapped(CKO_SECRET_KEY, CKK_AES);
  const Bytes wrapped = app.wrap_key(session, &mechanism, wraps, plain, Room::of(64)).bytes;
  CK_OBJECT_HANDLE back = 0;
  app.unwrap_key(session, &mechanism, cannot, wrapped, target, &back);
  app.unwrap_key(session, &sha, wraps, wrapped, target, &back);
  app.unwrap_key(session, &mechanism, Application::kNoObject, wrapped, target, &back);
  app.unwrap_key(session, nullptr, wraps, wrapped, target, &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, target, nullptr);
  app.unwrap_key(session, &mechanism, wraps, Input::null(), target, &back);
  app.unwrap_key(session, &mechanism, wraps, Input::null(24), target, &back);
  app.unwrap_key(session, &mechanism, wraps, Bytes(7), target, &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, {}, &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, target.without(CKA_KEY_TYPE), &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, target.with({{CKA_VALUE, Bytes(16)}}), &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, target.with({{CKA_LOCAL, true}}), &back);
  app.unwrap_key(session, &mechanism, wraps, wrapped, target.with({{CKA_KEY_TYPE, CKK_DES3}}), &back);
  app.unwrap_key(Application::kNoSession, &mechanism, wraps, wrapped, target, &back);
  app.finalize();
}

void unwrap_onto_token(Application& app) {
  auto session = app.start_logged_in();
  const auto wraps = app.create(session, aes(32));
  const auto plain = app.create(session, aes(16));
  Mechanism mechanism(CKM_AES_KEY_WRAP);
  const Outcome wrapped = app.wrap_key(session, &mechanism, wraps, plain, Room::of(64));
  CK_OBJECT_HANDLE back = 0;
  app.unwrap_key(session, &mechanism, wraps, wrapped.bytes,
                 unwrapped(CKO_SECRET_KEY, CKK_AES).with({{CKA_TOKEN, true}, {CKA_ENCRYPT, true}}), &back);
  app.finalize();
  session = app.start_logged_in();
  const Found found = app.find_all(session, {{CKA_LABEL, "unwrapped"}});
  if (found.objects.empty()) return;
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, found.objects[0]);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(wrap_aes_key_wrap), P11_CASE(wrap_aes_key_wrap_pad), P11_CASE(wrap_aes_cbc),
    P11_CASE(wrap_aes_cbc_pad),  P11_CASE(wrap_aes_ecb),          P11_CASE(wrap_des3_cbc),
    P11_CASE(wrap_with_rsa),     P11_CASE(wrap_private_key),      P11_CASE(wrap_refused),
    P11_CASE(unwrap_refused),    P11_CASE(unwrap_onto_token),
};

}  // namespace

std::span<const Case> wrap_cases() { return kCases; }

}  // namespace p11shim::contract
