// How signing and verifying begin and end: wrong order, wrong keys, missing arguments.
#include "cases.h"

namespace p11shim::contract {
namespace {

void sign_states(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign(session, "data", Room::of(32));
  app.sign_update(session, "data");
  app.sign_final(session, Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign_init(session, &hmac, key);
  app.sign_update(session, "data");
  app.sign(session, "single after update", Room::of(32));
  app.sign_final(session, Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign(session, "data", Room::of(32));
  app.sign_update(session, "after");
  app.sign_final(session, Room::of(32));
  app.finalize();
}

void verify_states(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.verify(session, "data", Bytes(32));
  app.verify_update(session, "data");
  app.verify_final(session, Bytes(32));
  app.verify_init(session, &hmac, key);
  app.verify_init(session, &hmac, key);
  app.verify_update(session, "data");
  app.verify(session, "single after update", Bytes(32));
  app.verify_final(session, Bytes(32));
  app.verify_init(session, &hmac, key);
  app.verify(session, "data", Bytes(32));
  app.verify(session, "data", Bytes(32));
  app.finalize();
}

void sign_query_then_update(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign_init(session, &hmac, key);
  app.sign(session, "data", Room::query());
  app.sign_update(session, "other data");
  app.sign_final(session, Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign(session, "data", Room::of(8));
  app.sign(session, "other data", Room::of(32));
  app.finalize();
}

void sign_null_arguments(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign_init(session, nullptr, key);
  app.sign_init(session, &hmac, key);
  app.sign(session, "data", Room::no_length(32));
  app.sign(session, "data", Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign(session, Input::null(), Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign(session, Input::null(4), Room::of(32));
  app.sign_init(session, &hmac, key);
  app.sign_update(session, Input::null());
  app.sign_final(session, Room::no_length(32));
  app.sign_final(session, Room::of(32));
  app.verify_init(session, nullptr, key);
  app.verify_init(session, &hmac, key);
  app.verify(session, "data", Input::null());
  app.verify_init(session, &hmac, key);
  app.verify(session, Input::null(4), Bytes(32));
  app.verify_init(session, &hmac, key);
  app.verify_update(session, "data");
  app.verify_final(session, Input::null(32));
  app.finalize();
}

void sign_wrong_keys(Application& app) {
  const auto session = app.start_crypto();
  const auto secret_key = app.create(session, generic());
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  const auto ec_key = app.create(session, ec_private());
  const auto data = app.create(session, data_object());
  Mechanism rsa(CKM_SHA256_RSA_PKCS), ecdsa(CKM_ECDSA), hmac(CKM_SHA256_HMAC);
  for (auto key : {secret_key, public_key, ec_key, data, Application::kNoObject, CK_OBJECT_HANDLE{0}}) {
    app.sign_init(session, &rsa, key);
    app.verify_init(session, &rsa, key);
  }
  for (auto key : {secret_key, private_key}) app.sign_init(session, &ecdsa, key);
  for (auto key : {public_key, private_key, data}) app.sign_init(session, &hmac, key);
  app.sign_init(Application::kNoSession, &hmac, secret_key);
  app.verify_init(Application::kNoSession, &hmac, secret_key);
  app.finalize();
}

void sign_forbidden_uses(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic().with({{CKA_SIGN, false}, {CKA_VERIFY, false}}));
  const auto private_key = app.create(session, rsa_private().with({{CKA_SIGN, false}}));
  const auto public_key = app.create(session, rsa_public().with({{CKA_VERIFY, false}}));
  Mechanism hmac(CKM_SHA256_HMAC), rsa(CKM_SHA256_RSA_PKCS);
  app.sign_init(session, &hmac, key);
  app.verify_init(session, &hmac, key);
  app.sign_init(session, &rsa, private_key);
  app.verify_init(session, &rsa, public_key);
  app.finalize();
}

void sign_bad_mechanisms(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  for (CK_MECHANISM_TYPE type : {CK_MECHANISM_TYPE{CKM_SHA256}, CK_MECHANISM_TYPE{CKM_AES_CBC},
                                 CK_MECHANISM_TYPE{0x7fffffff}, CK_MECHANISM_TYPE{CKM_VENDOR_DEFINED | 4}}) {
    Mechanism mechanism(type);
    app.sign_init(session, &mechanism, key);
    app.verify_init(session, &mechanism, key);
  }
  Mechanism with_parameter(CKM_SHA256_HMAC, Bytes(8, 1));
  app.sign_init(session, &with_parameter, key);
  app.sign(session, "data", Room::of(32));
  Mechanism too_long = Mechanism::mac_length(CKM_SHA256_HMAC_GENERAL, 33);
  app.sign_init(session, &too_long, key);
  app.sign(session, "data", Room::of(64));
  app.finalize();
}

void sign_large(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  const auto private_key = app.create(session, rsa_private());
  Mechanism hmac(CKM_SHA256_HMAC), rsa(CKM_SHA256_RSA_PKCS);
  app.sign_init(session, &hmac, key);
  app.sign(session, pattern(1'000'000), Room::of(32));
  app.sign_init(session, &rsa, private_key);
  for (int i = 0; i < 300; ++i) app.sign_update(session, pattern(16, static_cast<CK_BYTE>(i)));
  app.sign_final(session, Room::of(256));
  app.finalize();
}

void sign_many_times(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, rsa_private("rsa", 1024));
  Mechanism rsa(CKM_SHA256_RSA_PKCS);
  for (CK_BYTE i = 0; i < 20; ++i) {
    app.must(app.sign_init(session, &rsa, key), "C_SignInit");
    app.sign(session, pattern(40, i), Room::of(128));
  }
  app.finalize();
}

void sign_in_two_sessions(Application& app) {
  const auto first = app.start_crypto();
  const auto second = app.open_at(app.crypto_slot);
  const auto key = app.create(first, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign_init(first, &hmac, key);
  app.sign_init(second, &hmac, key);
  app.sign_update(first, "first");
  app.sign_update(second, "second");
  app.close_session(first);
  app.sign_final(second, Room::of(32));
  app.sign_final(first, Room::of(32));
  app.finalize();
}

void sign_key_of_closed_session(Application& app) {
  const auto session = app.start_crypto();
  const auto other = app.open_at(app.crypto_slot);
  const auto key = app.create(other, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign_init(session, &hmac, key);
  app.close_session(other);
  app.sign_init(session, &hmac, key);
  app.finalize();
}

void recover_states(Application& app) {
  const auto session = app.start_crypto();
  const auto signs = app.create(session, rsa_private()), verifies = app.create(session, rsa_public());
  Mechanism rsa(CKM_RSA_PKCS), hashed(CKM_SHA256_RSA_PKCS);
  app.sign_recover(session, "data", Room::of(256));
  app.verify_recover(session, "data", Room::of(256));
  app.sign_recover_init(session, nullptr, signs);
  app.sign_recover_init(session, &hashed, signs);
  app.sign_recover_init(session, &rsa, verifies);
  app.sign_recover_init(session, &rsa, signs);
  app.sign_recover_init(session, &rsa, signs);
  app.sign_recover(session, "data", Room::no_length(256));
  app.sign_recover(session, "data", Room::of(256));
  app.verify_recover_init(session, &rsa, signs);
  app.verify_recover_init(session, &rsa, verifies);
  app.verify_recover(session, Input::null(), Room::of(256));
  app.finalize();
}

void verify_does_not_end_sign(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, generic());
  Mechanism hmac(CKM_SHA256_HMAC);
  app.sign_init(session, &hmac, key);
  app.sign_update(session, "data");
  app.verify_init(session, &hmac, key);
  app.verify(session, "data", Bytes(32));
  app.sign_final(session, Room::of(32));
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(sign_states),
    P11_CASE(verify_states),
    P11_CASE(sign_query_then_update),
    P11_CASE(sign_null_arguments),
    P11_CASE(sign_wrong_keys),
    P11_CASE(sign_forbidden_uses),
    P11_CASE(sign_bad_mechanisms),
    P11_CASE(sign_large),
    P11_CASE(sign_many_times),
    P11_CASE(sign_in_two_sessions),
    P11_CASE(sign_key_of_closed_session),
    P11_CASE(recover_states),
    P11_CASE(verify_does_not_end_sign),
};

}  // namespace

std::span<const Case> sign_state_cases() { return kCases; }

}  // namespace p11shim::contract
