// Signing and verifying with each mechanism (sections 5.11 and 5.12).
#include <functional>

#include "cases.h"

namespace p11shim::contract {
namespace {

using Make = std::function<Mechanism()>;

// Signs whole and in parts, verifies both, and verifies what is not right.
void sign_and_verify(Application& app, Recorder::Session session, Recorder::Object signs, Recorder::Object verifies,
                     const Make& make, const Bytes& data) {
  Mechanism mechanism = make();
  if (app.sign_init(session, &mechanism, signs) != CKR_OK) return;
  app.sign(session, data, Room::query());
  app.sign(session, data, Room::of(4));
  const Outcome signature = app.sign(session, data, Room::of(512));

  app.sign_init(session, &mechanism, signs);
  for (std::size_t at = 0; at < data.size(); at += 10)
    app.sign_update(session, Bytes(data.begin() + static_cast<std::ptrdiff_t>(at),
                                   data.begin() + static_cast<std::ptrdiff_t>(std::min(at + 10, data.size()))));
  app.sign_final(session, Room::query());
  app.sign_final(session, Room::of(4));
  const Outcome in_parts = app.sign_final(session, Room::of(512));
  app.sign_final(session, Room::of(512));

  for (const Bytes& candidate : {signature.bytes, in_parts.bytes, pattern(signature.bytes.size()), Bytes(3), Bytes{}}) {
    if (app.verify_init(session, &mechanism, verifies) != CKR_OK) return;
    app.verify(session, data, candidate);
    app.verify_init(session, &mechanism, verifies);
    app.verify_update(session, data);
    app.verify_final(session, candidate);
  }
  Bytes changed = data;
  changed.push_back(1);
  app.verify_init(session, &mechanism, verifies);
  app.verify(session, changed, signature.bytes);
}

void with_secret(Application& app, const Template& key_template, const Make& make) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, key_template);
  for (std::size_t size : {0u, 1u, 16u, 45u}) sign_and_verify(app, session, key, key, make, pattern(size));
  app.finalize();
}

void with_rsa(Application& app, const Make& make, std::initializer_list<std::size_t> sizes = {0, 32, 45}) {
  const auto session = app.start_crypto();
  const auto signs = app.create(session, rsa_private()), verifies = app.create(session, rsa_public());
  for (std::size_t size : sizes) sign_and_verify(app, session, signs, verifies, make, pattern(size));
  app.finalize();
}

void with_ec(Application& app, CK_MECHANISM_TYPE type, std::initializer_list<std::size_t> sizes) {
  const auto session = app.start_crypto();
  const auto signs = app.create(session, ec_private()), verifies = app.create(session, ec_public());
  for (std::size_t size : sizes)
    sign_and_verify(
        app, session, signs, verifies, [type] { return Mechanism(type); }, pattern(size));
  app.finalize();
}

void hmac_sha1(Application& app) {
  with_secret(app, generic(), [] { return Mechanism(CKM_SHA_1_HMAC); });
}
void hmac_sha256(Application& app) {
  with_secret(app, generic(), [] { return Mechanism(CKM_SHA256_HMAC); });
}
void hmac_sha512(Application& app) {
  with_secret(app, generic(64), [] { return Mechanism(CKM_SHA512_HMAC); });
}
void hmac_md5(Application& app) {
  with_secret(app, generic(), [] { return Mechanism(CKM_MD5_HMAC); });
}
void hmac_general(Application& app) {
  with_secret(app, generic(), [] { return Mechanism::mac_length(CKM_SHA256_HMAC_GENERAL, 10); });
}
void hmac_with_aes_key(Application& app) {
  with_secret(app, aes(), [] { return Mechanism(CKM_SHA256_HMAC); });
}
void hmac_with_its_own_key_type(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE key = 0;
  if (app.create_object(session, secret(CKK_SHA256_HMAC, pattern(32), "hmac"), &key) != CKR_OK) return;
  sign_and_verify(
      app, session, key, key, [] { return Mechanism(CKM_SHA256_HMAC); }, pattern(20));
  app.finalize();
}
void aes_cmac(Application& app) {
  with_secret(app, aes(), [] { return Mechanism(CKM_AES_CMAC); });
}
void aes_cmac_general(Application& app) {
  with_secret(app, aes(), [] { return Mechanism::mac_length(CKM_AES_CMAC_GENERAL, 8); });
}
// NSS signs with bytes of its stack here: not on that backend.
void aes_mac(Application& app) {
  with_secret(app, aes(), [] { return Mechanism(CKM_AES_MAC); });
}
void des3_cmac(Application& app) {
  with_secret(app, des3(), [] { return Mechanism(CKM_DES3_CMAC); });
}
void des3_mac(Application& app) {
  with_secret(app, des3(), [] { return Mechanism(CKM_DES3_MAC); });
}
void rsa_pkcs(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_RSA_PKCS); }, {0, 32, 245, 246, 300});
}
void rsa_x_509(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_RSA_X_509); }, {32, 255});
}
void sha1_rsa_pkcs(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_SHA1_RSA_PKCS); });
}
void sha256_rsa_pkcs(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_SHA256_RSA_PKCS); });
}
void sha512_rsa_pkcs(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_SHA512_RSA_PKCS); });
}
void md5_rsa_pkcs(Application& app) {
  with_rsa(app, [] { return Mechanism(CKM_MD5_RSA_PKCS); });
}
void rsa_pss(Application& app) {
  with_rsa(app, [] { return Mechanism::pss(CKM_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32); }, {32, 20});
}
void sha256_rsa_pss(Application& app) {
  with_rsa(app, [] { return Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32); });
}
void sha256_rsa_pss_no_salt(Application& app) {
  with_rsa(app, [] { return Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 0); });
}
void sha512_rsa_pss(Application& app) {
  with_rsa(app, [] { return Mechanism::pss(CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512, 64); });
}

void rsa_pss_bad_parameters(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, rsa_private());
  auto start = [&](Mechanism mechanism) {
    if (app.sign_init(session, &mechanism, key) == CKR_OK) app.sign(session, pattern(32), Room::of(256));
  };
  start(Mechanism(CKM_SHA256_RSA_PKCS_PSS));
  start(Mechanism(CKM_SHA256_RSA_PKCS_PSS, Bytes(5)));
  start(Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, 20));
  start(Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA1, 32));
  start(Mechanism::pss(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 5000));
  start(Mechanism::pss(CKM_RSA_PKCS_PSS, CKM_AES_CBC, 77, 32));
  start(Mechanism::raw(CKM_SHA256_RSA_PKCS_PSS, nullptr, sizeof(CK_RSA_PKCS_PSS_PARAMS)));
  app.finalize();
}

void ecdsa(Application& app) { with_ec(app, CKM_ECDSA, {0, 20, 32, 64}); }
void ecdsa_sha1(Application& app) { with_ec(app, CKM_ECDSA_SHA1, {0, 45}); }
void ecdsa_sha256(Application& app) { with_ec(app, CKM_ECDSA_SHA256, {0, 45}); }

void eddsa(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE signs = 0, verifies = 0;
  if (app.create_object(session, ed25519_private(), &signs) != CKR_OK) return;
  if (app.create_object(session, ed25519_public(), &verifies) != CKR_OK) return;
  sign_and_verify(
      app, session, signs, verifies, [] { return Mechanism(CKM_EDDSA); }, pattern(45));
  app.finalize();
}

void known_signature_verifies(Application& app) {
  const auto session = app.start_crypto();
  const auto signs = app.create(session, rsa_private("rsa", 1024)),
             verifies = app.create(session, rsa_public("rsa", 1024));
  Mechanism hashed(CKM_SHA256_RSA_PKCS), digest(CKM_SHA256), raw(CKM_RSA_PKCS);
  app.sign_init(session, &hashed, signs);
  const Outcome signature = app.sign(session, "message", Room::of(128));
  // The same by hand: DigestInfo, then raw PKCS #1.
  app.digest_init(session, &digest);
  Bytes info = from_hex("3031300d060960864801650304020105000420");
  const Bytes hash = app.digest(session, "message", Room::of(32)).bytes;
  info.insert(info.end(), hash.begin(), hash.end());
  app.verify_init(session, &raw, verifies);
  app.verify(session, info, signature.bytes);
  app.finalize();
}

void recover_signed_data(Application& app) {
  const auto session = app.start_crypto();
  const auto signs = app.create(session, rsa_private()), verifies = app.create(session, rsa_public());
  for (CK_MECHANISM_TYPE type : {CKM_RSA_PKCS, CKM_RSA_X_509}) {
    Mechanism mechanism(type);
    app.sign_recover_init(session, &mechanism, signs);
    app.sign_recover(session, pattern(32), Room::query());
    app.sign_recover(session, pattern(32), Room::of(10));
    const Outcome signature = app.sign_recover(session, pattern(32), Room::of(256));
    app.verify_recover_init(session, &mechanism, verifies);
    app.verify_recover(session, signature.bytes, Room::query());
    app.verify_recover(session, signature.bytes, Room::of(5));
    app.verify_recover(session, signature.bytes, Room::of(256));
    app.verify_recover_init(session, &mechanism, verifies);
    app.verify_recover(session, pattern(256), Room::of(256));
  }
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(hmac_sha1),
    P11_CASE(hmac_sha256),
    P11_CASE(hmac_sha512),
    P11_CASE(hmac_md5),
    P11_CASE(hmac_general),
    P11_CASE(hmac_with_aes_key),
    P11_CASE(hmac_with_its_own_key_type),
    P11_CASE(aes_cmac),
    P11_CASE(aes_cmac_general),
    P11_CASE_ON("softhsm", aes_mac),
    P11_CASE(des3_cmac),
    P11_CASE_ON("softhsm", des3_mac),
    P11_CASE(rsa_pkcs),
    P11_CASE(rsa_x_509),
    P11_CASE(sha1_rsa_pkcs),
    P11_CASE(sha256_rsa_pkcs),
    P11_CASE(sha512_rsa_pkcs),
    P11_CASE(md5_rsa_pkcs),
    P11_CASE(rsa_pss),
    P11_CASE(sha256_rsa_pss),
    P11_CASE(sha256_rsa_pss_no_salt),
    P11_CASE(sha512_rsa_pss),
    P11_CASE(rsa_pss_bad_parameters),
    P11_CASE(ecdsa),
    P11_CASE(ecdsa_sha1),
    P11_CASE(ecdsa_sha256),
    P11_CASE(eddsa),
    P11_CASE(known_signature_verifies),
    P11_CASE(recover_signed_data),
};

}  // namespace

std::span<const Case> sign_cases() { return kCases; }

}  // namespace p11shim::contract
