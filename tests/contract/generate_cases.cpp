// Generating keys (section 5.13).
#include "cases.h"

namespace p11shim::contract {
namespace {

const std::initializer_list<CK_ATTRIBUTE_TYPE> kRead = {CKA_CLASS,
                                                        CKA_KEY_TYPE,
                                                        CKA_LABEL,
                                                        CKA_TOKEN,
                                                        CKA_PRIVATE,
                                                        CKA_LOCAL,
                                                        CKA_SENSITIVE,
                                                        CKA_EXTRACTABLE,
                                                        CKA_ALWAYS_SENSITIVE,
                                                        CKA_NEVER_EXTRACTABLE,
                                                        CKA_KEY_GEN_MECHANISM,
                                                        CKA_VALUE_LEN,
                                                        CKA_MODULUS_BITS,
                                                        CKA_PUBLIC_EXPONENT,
                                                        CKA_EC_PARAMS,
                                                        CKA_VALUE,
                                                        CKA_MODULUS,
                                                        CKA_EC_POINT};

void generate_secret(Application& app, CK_MECHANISM_TYPE type, const Template& more) {
  const auto session = app.start_logged_in();
  for (bool token : {false, true}) {
    CK_OBJECT_HANDLE key = 0;
    Mechanism mechanism(type);
    const Template attributes =
        more.with({{CKA_TOKEN, token}, {CKA_LABEL, "generated"}, {CKA_ENCRYPT, true}, {CKA_DECRYPT, true}});
    if (app.generate_key(session, &mechanism, attributes, &key) != CKR_OK) continue;
    app.get_attribute_value(session, key, roomy(kRead));
    app.find_all(session, {{CKA_LABEL, "generated"}});
    app.destroy_object(session, key);
  }
  app.finalize();
}

void generate_aes(Application& app) { generate_secret(app, CKM_AES_KEY_GEN, {{CKA_VALUE_LEN, 32}}); }
void generate_des3(Application& app) { generate_secret(app, CKM_DES3_KEY_GEN, {}); }
void generate_des2(Application& app) { generate_secret(app, CKM_DES2_KEY_GEN, {}); }
void generate_generic(Application& app) {
  generate_secret(app, CKM_GENERIC_SECRET_KEY_GEN, {{CKA_VALUE_LEN, 40}, {CKA_SENSITIVE, false}});
}
void generate_chacha20(Application& app) { generate_secret(app, CKM_CHACHA20_KEY_GEN, {}); }

void generate_aes_template_errors(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE key = 0;
  Mechanism mechanism(CKM_AES_KEY_GEN);
  app.generate_key(session, &mechanism, {}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 17}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 0}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, Bytes{16}}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}, {CKA_KEY_TYPE, CKK_DES3}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}, {CKA_CLASS, CKO_DATA}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}, {CKA_VALUE, Bytes(16)}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}, {CKA_LOCAL, true}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}, {CKA_MODULUS_BITS, 16}}, &key);
  app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}}, nullptr);
  app.generate_key(session, nullptr, {{CKA_VALUE_LEN, 16}}, &key);
  app.generate_key(Application::kNoSession, &mechanism, {{CKA_VALUE_LEN, 16}}, &key);
  app.finalize();
}

void generate_wrong_mechanisms(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE key = 0, other = 0;
  for (CK_MECHANISM_TYPE type : {CK_MECHANISM_TYPE{CKM_SHA256}, CK_MECHANISM_TYPE{CKM_RSA_PKCS_KEY_PAIR_GEN},
                                 CK_MECHANISM_TYPE{0x7fffffff}, CK_MECHANISM_TYPE{CKM_VENDOR_DEFINED | 1}}) {
    Mechanism mechanism(type);
    app.generate_key(session, &mechanism, {{CKA_VALUE_LEN, 16}}, &key);
  }
  for (CK_MECHANISM_TYPE type : {CK_MECHANISM_TYPE{CKM_AES_KEY_GEN}, CK_MECHANISM_TYPE{CKM_VENDOR_DEFINED | 1}}) {
    Mechanism mechanism(type);
    app.generate_key_pair(session, &mechanism, {{CKA_MODULUS_BITS, 1024}}, {}, &key, &other);
  }
  Mechanism with_parameter(CKM_AES_KEY_GEN, Bytes(8));
  app.generate_key(session, &with_parameter, {{CKA_VALUE_LEN, 16}}, &key);
  Mechanism lying = Mechanism::raw(CKM_AES_KEY_GEN, nullptr, 16);
  app.generate_key(session, &lying, {{CKA_VALUE_LEN, 16}}, &key);
  app.finalize();
}

void generate_pair(Application& app, CK_MECHANISM_TYPE type, const Template& public_more, CK_MECHANISM_TYPE signs) {
  const auto session = app.start_logged_in();
  for (bool token : {false, true}) {
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    Mechanism mechanism(type);
    const CK_RV rv = app.generate_key_pair(
        session, &mechanism,
        public_more.with({{CKA_TOKEN, token}, {CKA_LABEL, "pair"}, {CKA_ID, Bytes{5}}, {CKA_VERIFY, true}}),
        {{CKA_TOKEN, token}, {CKA_LABEL, "pair"}, {CKA_ID, Bytes{5}}, {CKA_SIGN, true}}, &public_key, &private_key);
    if (rv != CKR_OK) continue;
    app.get_attribute_value(session, public_key, roomy(kRead));
    app.get_attribute_value(session, private_key, roomy(kRead));
    app.find_all(session, {{CKA_ID, Bytes{5}}});
    Mechanism signing(signs);
    if (app.sign_init(session, &signing, private_key) != CKR_OK) continue;
    const Outcome signature = app.sign(session, Bytes(32, 1), Room::of(512));
    app.verify_init(session, &signing, public_key);
    app.verify(session, Bytes(32, 1), signature.bytes);
    app.verify_init(session, &signing, public_key);
    app.verify(session, Bytes(32, 2), signature.bytes);
  }
  app.finalize();
}

void generate_rsa(Application& app) {
  generate_pair(app, CKM_RSA_PKCS_KEY_PAIR_GEN, {{CKA_MODULUS_BITS, 1024}, {CKA_PUBLIC_EXPONENT, Bytes{1, 0, 1}}},
                CKM_RSA_PKCS);
}
void generate_rsa_default_exponent(Application& app) {
  generate_pair(app, CKM_RSA_PKCS_KEY_PAIR_GEN, {{CKA_MODULUS_BITS, 1024}}, CKM_SHA256_RSA_PKCS);
}
void generate_rsa_x9_31(Application& app) {
  generate_pair(app, CKM_RSA_X9_31_KEY_PAIR_GEN, {{CKA_MODULUS_BITS, 1024}}, CKM_RSA_PKCS);
}
void generate_ec(Application& app) {
  generate_pair(app, CKM_EC_KEY_PAIR_GEN, {{CKA_EC_PARAMS, p256_params()}}, CKM_ECDSA);
}
void generate_ed25519(Application& app) {
  generate_pair(app, CKM_EC_EDWARDS_KEY_PAIR_GEN, {{CKA_EC_PARAMS, ed25519_params()}}, CKM_EDDSA);
}
void generate_x25519(Application& app) {
  // curve25519, printable
  generate_pair(app, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, {{CKA_EC_PARAMS, from_hex("130a63757276653235353139")}},
                CKM_ECDSA);
}

void generate_pair_template_errors(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  Mechanism rsa(CKM_RSA_PKCS_KEY_PAIR_GEN), ec(CKM_EC_KEY_PAIR_GEN);
  auto pair = [&](Mechanism& mechanism, const Template& for_public, const Template& for_private) {
    app.generate_key_pair(session, &mechanism, for_public, for_private, &public_key, &private_key);
  };
  pair(rsa, {}, {});
  pair(rsa, {{CKA_MODULUS_BITS, 100}}, {});
  pair(rsa, {{CKA_MODULUS_BITS, 1024}, {CKA_PUBLIC_EXPONENT, Bytes{2}}}, {});
  pair(rsa, {{CKA_MODULUS_BITS, 1024}, {CKA_KEY_TYPE, CKK_EC}}, {});
  pair(rsa, {{CKA_MODULUS_BITS, 1024}}, {{CKA_CLASS, CKO_PUBLIC_KEY}});
  pair(rsa, {{CKA_MODULUS_BITS, 1024}, {CKA_MODULUS, pattern(128)}}, {});
  pair(ec, {}, {});
  pair(ec, {{CKA_EC_PARAMS, Bytes{6, 1, 0}}}, {});
  pair(ec, {{CKA_EC_PARAMS, pattern(20)}}, {});
  app.finalize();
}

void generate_pair_arguments(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE key = 0;
  Mechanism ec(CKM_EC_KEY_PAIR_GEN);
  const Template curve{{CKA_EC_PARAMS, p256_params()}};
  app.generate_key_pair(session, nullptr, curve, {}, &key, &key);
  app.generate_key_pair(session, &ec, curve, {}, nullptr, &key);
  app.generate_key_pair(session, &ec, curve, {}, &key, nullptr);
  app.generate_key_pair(Application::kNoSession, &ec, curve, {}, &key, &key);
  app.find_all(session, {});
  app.finalize();
}

void generated_keys_after_restart(Application& app) {
  auto session = app.start_logged_in();
  CK_OBJECT_HANDLE key = 0, public_key = 0, private_key = 0;
  Mechanism aes_gen(CKM_AES_KEY_GEN), ec_gen(CKM_EC_KEY_PAIR_GEN), ecdsa(CKM_ECDSA);
  app.generate_key(session, &aes_gen, {{CKA_TOKEN, true}, {CKA_VALUE_LEN, 16}, {CKA_LABEL, "secret"}}, &key);
  app.generate_key_pair(session, &ec_gen,
                        {{CKA_TOKEN, true}, {CKA_EC_PARAMS, p256_params()}, {CKA_LABEL, "public"}, {CKA_VERIFY, true}},
                        {{CKA_TOKEN, true}, {CKA_LABEL, "private"}, {CKA_SIGN, true}}, &public_key, &private_key);
  app.finalize();
  session = app.start_logged_in();
  app.find_all(session, {});
  const Found signs = app.find_all(session, {{CKA_LABEL, "private"}});
  const Found verifies = app.find_all(session, {{CKA_LABEL, "public"}});
  if (signs.objects.empty() || verifies.objects.empty()) return;
  app.sign_init(session, &ecdsa, signs.objects[0]);
  const Outcome signature = app.sign(session, Bytes(32, 1), Room::of(64));
  app.verify_init(session, &ecdsa, verifies.objects[0]);
  app.verify(session, Bytes(32, 1), signature.bytes);
  app.finalize();
}

void generate_domain_parameters(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  Mechanism dh(CKM_DH_PKCS_PARAMETER_GEN), dsa(CKM_DSA_PARAMETER_GEN);
  app.generate_key(session, &dsa, {{CKA_PRIME_BITS, 512}}, &object);
  app.generate_key(session, &dh, {}, &object);
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(generate_aes),
    P11_CASE(generate_des3),
    P11_CASE(generate_des2),
    P11_CASE(generate_generic),
    P11_CASE(generate_chacha20),
    P11_CASE(generate_aes_template_errors),
    P11_CASE(generate_wrong_mechanisms),
    P11_CASE(generate_rsa),
    P11_CASE(generate_rsa_default_exponent),
    P11_CASE(generate_rsa_x9_31),
    P11_CASE(generate_ec),
    P11_CASE(generate_ed25519),
    P11_CASE(generate_x25519),
    P11_CASE(generate_pair_template_errors),
    P11_CASE(generate_pair_arguments),
    P11_CASE(generated_keys_after_restart),
    P11_CASE(generate_domain_parameters),
};

}  // namespace

std::span<const Case> generate_cases() { return kCases; }

}  // namespace p11shim::contract
