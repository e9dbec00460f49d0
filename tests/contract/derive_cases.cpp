// Deriving keys (section 5.13).
#include "cases.h"

namespace p11shim::contract {
namespace {

Template derived(CK_KEY_TYPE type, CK_ULONG length) {
  return {{CKA_CLASS, CKO_SECRET_KEY}, {CKA_KEY_TYPE, type},    {CKA_LABEL, "derived"}, {CKA_TOKEN, false},
          {CKA_SENSITIVE, false},      {CKA_EXTRACTABLE, true}, {CKA_VALUE_LEN, length}};
}

void derive_and_read(Application& app, Recorder::Session session, Mechanism mechanism, Recorder::Object base,
                     const Template& attributes) {
  CK_OBJECT_HANDLE key = 0;
  if (app.derive_key(session, &mechanism, base, attributes, &key) != CKR_OK) return;
  app.get_attribute_value(session, key,
                          roomy({CKA_KEY_TYPE, CKA_VALUE, CKA_VALUE_LEN, CKA_LOCAL, CKA_ALWAYS_SENSITIVE,
                                 CKA_NEVER_EXTRACTABLE, CKA_SENSITIVE, CKA_CHECK_VALUE}));
}

void derive_ecdh(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, ec_private());
  for (CK_MECHANISM_TYPE type : {CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE}) {
    derive_and_read(app, session, Mechanism::ecdh(type, peer_point()), base, derived(CKK_GENERIC_SECRET, 32));
    derive_and_read(app, session, Mechanism::ecdh(type, peer_point()), base,
                    derived(CKK_GENERIC_SECRET, 32).without(CKA_VALUE_LEN));
    derive_and_read(app, session, Mechanism::ecdh(type, peer_point()), base, derived(CKK_AES, 16));
    derive_and_read(app, session, Mechanism::ecdh(type, peer_point()), base, derived(CKK_GENERIC_SECRET, 48));
  }
  Bytes wrapped = {0x04, 65};
  const Bytes point = peer_point();
  wrapped.insert(wrapped.end(), point.begin(), point.end());
  derive_and_read(app, session, Mechanism::ecdh(CKM_ECDH1_DERIVE, wrapped), base, derived(CKK_GENERIC_SECRET, 32));
  app.finalize();
}

void derive_ecdh_kdf(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, ec_private());
  for (CK_EC_KDF_TYPE kdf : {CKD_SHA1_KDF, CKD_SHA256_KDF, CK_EC_KDF_TYPE{0x7777}})
    derive_and_read(app, session, Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point(), kdf, from_text("shared info")), base,
                    derived(CKK_GENERIC_SECRET, 32));
  app.finalize();
}

void derive_ecdh_errors(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, ec_private());
  const auto forbidden = app.create(session, ec_private().with({{CKA_DERIVE, false}}));
  const auto secret_key = app.create(session, aes());
  CK_OBJECT_HANDLE key = 0;
  auto derive = [&](Mechanism mechanism, Recorder::Object from) {
    app.derive_key(session, &mechanism, from, derived(CKK_GENERIC_SECRET, 32), &key);
  };
  derive(Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point()), forbidden);
  derive(Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point()), secret_key);
  derive(Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point()), Application::kNoObject);
  derive(Mechanism::ecdh(CKM_ECDH1_DERIVE, pattern(65)), base);
  derive(Mechanism::ecdh(CKM_ECDH1_DERIVE, Bytes(3)), base);
  derive(Mechanism(CKM_ECDH1_DERIVE), base);
  derive(Mechanism(CKM_ECDH1_DERIVE, Bytes(4)), base);
  derive(Mechanism(CKM_SHA256), base);
  Mechanism good = Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point());
  app.derive_key(session, nullptr, base, derived(CKK_GENERIC_SECRET, 32), &key);
  app.derive_key(session, &good, base, {}, &key);
  app.derive_key(session, &good, base, derived(CKK_GENERIC_SECRET, 32).with({{CKA_VALUE, Bytes(32)}}), &key);
  app.derive_key(Application::kNoSession, &good, base, derived(CKK_GENERIC_SECRET, 32), &key);
  app.finalize();
}

void derive_ecdh_null_place(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, ec_private());
  Mechanism good = Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point());
  app.derive_key(session, &good, base, derived(CKK_GENERIC_SECRET, 32), nullptr);
  app.finalize();
}

void derive_encrypt_data(Application& app) {
  const auto session = app.start_crypto();
  const auto aes_base = app.create(session, aes()), des_base = app.create(session, des3());
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(32)), aes_base,
                  derived(CKK_AES, 32));
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(32)), aes_base,
                  derived(CKK_GENERIC_SECRET, 20));
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(10)), aes_base,
                  derived(CKK_GENERIC_SECRET, 10));
  derive_and_read(app, session, Mechanism::aes_cbc_encrypt_data(Bytes(16, 1), pattern(32)), aes_base,
                  derived(CKK_AES, 16));
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_DES3_ECB_ENCRYPT_DATA, pattern(32)), des_base,
                  derived(CKK_GENERIC_SECRET, 24));
  derive_and_read(app, session, Mechanism::des_cbc_encrypt_data(CKM_DES3_CBC_ENCRYPT_DATA, Bytes(8, 1), pattern(24)),
                  des_base, derived(CKK_DES3, 24).without(CKA_VALUE_LEN));
  app.finalize();
}

void derive_concatenations(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, generic(16)), other = app.create(session, generic(24));
  const Template attributes = derived(CKK_GENERIC_SECRET, 16).without(CKA_VALUE_LEN);
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_CONCATENATE_BASE_AND_DATA, pattern(8)), base, attributes);
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_CONCATENATE_DATA_AND_BASE, pattern(8)), base, attributes);
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_XOR_BASE_AND_DATA, pattern(16)), base, attributes);
  derive_and_read(app, session, Mechanism::object_handle(CKM_CONCATENATE_BASE_AND_KEY, other), base, attributes);
  derive_and_read(app, session, Mechanism::object_handle(CKM_CONCATENATE_BASE_AND_KEY, Application::kNoObject), base,
                  attributes);
  derive_and_read(app, session, Mechanism::mac_length(CKM_EXTRACT_KEY_FROM_KEY, 8), base,
                  derived(CKK_GENERIC_SECRET, 8));
  app.finalize();
}

void derive_digests(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, generic(32));
  for (CK_MECHANISM_TYPE type : {CKM_SHA1_KEY_DERIVATION, CKM_SHA256_KEY_DERIVATION, CKM_MD5_KEY_DERIVATION})
    derive_and_read(app, session, Mechanism(type), base, derived(CKK_GENERIC_SECRET, 16));
  app.finalize();
}

void derive_hkdf(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE base = 0;
  if (app.create_object(session, secret(CKK_HKDF, pattern(32), "hkdf"), &base) != CKR_OK)
    base = app.create(session, generic(32));
  derive_and_read(app, session, Mechanism::hkdf(CKM_HKDF_DERIVE, CKM_SHA256, pattern(8), from_text("info")), base,
                  derived(CKK_GENERIC_SECRET, 42));
  derive_and_read(app, session, Mechanism::hkdf(CKM_HKDF_DERIVE, CKM_SHA_1, {}, {}), base, derived(CKK_AES, 16));
  derive_and_read(app, session, Mechanism::hkdf(CKM_HKDF_DATA, CKM_SHA256, pattern(8), from_text("info")), base,
                  {{CKA_CLASS, CKO_DATA}, {CKA_VALUE_LEN, 16}, {CKA_TOKEN, false}});
  app.finalize();
}

void derive_pbkd2(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE key = 0;
  for (CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE prf : {CKP_PKCS5_PBKD2_HMAC_SHA1, CKP_PKCS5_PBKD2_HMAC_SHA256}) {
    Mechanism mechanism = Mechanism::pbkd2(pattern(16), 10, prf, from_text("password"));
    const Recorder::Blur blur(app);  // the recorder takes generated keys as random anyway
    app.generate_key(session, &mechanism,
                     {{CKA_CLASS, CKO_SECRET_KEY}, {CKA_KEY_TYPE, CKK_AES}, {CKA_VALUE_LEN, 16}, {CKA_ENCRYPT, true}},
                     &key);
  }
  app.finalize();
}

void derive_sensitive_base(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, generic(32).with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
  const auto aes_base = app.create(session, aes().with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
  derive_and_read(app, session, Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(32)), aes_base,
                  derived(CKK_AES, 32));
  derive_and_read(app, session, Mechanism(CKM_SHA256_KEY_DERIVATION), base, derived(CKK_GENERIC_SECRET, 16));
  app.finalize();
}

void derived_key_in_use(Application& app) {
  const auto session = app.start_crypto();
  const auto base = app.create(session, ec_private());
  Mechanism ecdh = Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point()), cbc(CKM_AES_CBC, Bytes(16));
  CK_OBJECT_HANDLE key = 0;
  app.must(
      app.derive_key(session, &ecdh, base, derived(CKK_AES, 16).with({{CKA_ENCRYPT, true}, {CKA_DECRYPT, true}}), &key),
      "C_DeriveKey");
  app.encrypt_init(session, &cbc, key);
  app.encrypt(session, pattern(32), Room::of(32));
  app.destroy_object(session, key);
  app.find_all(session, {{CKA_LABEL, "derived"}});
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(derive_ecdh),         P11_CASE(derive_ecdh_kdf),
    P11_CASE(derive_ecdh_errors),  P11_CASE(derive_ecdh_null_place),
    P11_CASE(derive_encrypt_data), P11_CASE(derive_concatenations),
    P11_CASE(derive_digests),      P11_CASE(derive_hkdf),
    P11_CASE(derive_pbkd2),        P11_CASE(derive_sensitive_base),
    P11_CASE(derived_key_in_use),
};

}  // namespace

std::span<const Case> derive_cases() { return kCases; }

}  // namespace p11shim::contract
