// Creating, copying, destroying and measuring objects (section 5.7).
#include "cases.h"

namespace p11shim::contract {
namespace {

const std::initializer_list<CK_ATTRIBUTE_TYPE> kCommon = {CKA_CLASS, CKA_TOKEN,    CKA_PRIVATE,    CKA_MODIFIABLE,
                                                          CKA_LABEL, CKA_COPYABLE, CKA_DESTROYABLE};
const std::initializer_list<CK_ATTRIBUTE_TYPE> kOfKeys = {CKA_KEY_TYPE,
                                                          CKA_ID,
                                                          CKA_START_DATE,
                                                          CKA_END_DATE,
                                                          CKA_DERIVE,
                                                          CKA_LOCAL,
                                                          CKA_KEY_GEN_MECHANISM,
                                                          CKA_SENSITIVE,
                                                          CKA_EXTRACTABLE,
                                                          CKA_ALWAYS_SENSITIVE,
                                                          CKA_NEVER_EXTRACTABLE,
                                                          CKA_ENCRYPT,
                                                          CKA_DECRYPT,
                                                          CKA_SIGN,
                                                          CKA_SIGN_RECOVER,
                                                          CKA_VERIFY,
                                                          CKA_VERIFY_RECOVER,
                                                          CKA_WRAP,
                                                          CKA_UNWRAP,
                                                          CKA_WRAP_WITH_TRUSTED,
                                                          CKA_TRUSTED,
                                                          CKA_CHECK_VALUE,
                                                          CKA_VALUE_LEN,
                                                          CKA_ALWAYS_AUTHENTICATE,
                                                          CKA_SUBJECT,
                                                          CKA_MODULUS,
                                                          CKA_MODULUS_BITS,
                                                          CKA_PUBLIC_EXPONENT,
                                                          CKA_EC_PARAMS,
                                                          CKA_EC_POINT,
                                                          CKA_PUBLIC_KEY_INFO};

// Creates an object on a session and on the token, and reads all that may be read of it.
void create_and_read(Application& app, const Template& attributes) {
  const auto session = app.start_logged_in();
  for (bool token : {false, true}) {
    CK_OBJECT_HANDLE object = 0;
    if (app.create_object(session, attributes.with({{CKA_TOKEN, token}}), &object) != CKR_OK) continue;
    app.get_attribute_value(session, object, roomy(kCommon));
    app.get_attribute_value(session, object, roomy(kOfKeys));
    CK_ULONG size = 0;
    app.get_object_size(session, object, &size);
    app.destroy_object(session, object);
    app.get_attribute_value(session, object, roomy(kCommon));
  }
  app.finalize();
}

void create_data(Application& app) { create_and_read(app, data_object()); }
void create_private_data(Application& app) { create_and_read(app, data_object().with({{CKA_PRIVATE, true}})); }
void create_certificate(Application& app) { create_and_read(app, certificate()); }
void create_rsa_public(Application& app) { create_and_read(app, rsa_public()); }
void create_rsa_private(Application& app) { create_and_read(app, rsa_private()); }
void create_ec_public(Application& app) { create_and_read(app, ec_public()); }
void create_ec_private(Application& app) { create_and_read(app, ec_private()); }
void create_ed25519_public(Application& app) { create_and_read(app, ed25519_public()); }
void create_ed25519_private(Application& app) { create_and_read(app, ed25519_private()); }
void create_aes(Application& app) { create_and_read(app, aes()); }
void create_aes_256_sensitive(Application& app) {
  create_and_read(app, aes(32).with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
}
void create_des3(Application& app) { create_and_read(app, des3()); }
void create_generic_secret(Application& app) { create_and_read(app, generic()); }
void create_domain_parameters(Application& app) {
  create_and_read(app, {{CKA_CLASS, CKO_DOMAIN_PARAMETERS},
                        {CKA_KEY_TYPE, CKK_DH},
                        {CKA_LABEL, "dh"},
                        {CKA_PRIME, pattern(128)},
                        {CKA_BASE, Bytes{2}}});
}

void create_other_classes(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  for (CK_OBJECT_CLASS type :
       {CK_OBJECT_CLASS{CKO_HW_FEATURE}, CK_OBJECT_CLASS{CKO_MECHANISM}, CK_OBJECT_CLASS{CKO_OTP_KEY},
        CK_OBJECT_CLASS{CKO_PROFILE}, CK_OBJECT_CLASS{0x7777}, CK_OBJECT_CLASS{CKO_VENDOR_DEFINED | 5}})
    app.create_object(session, {{CKA_CLASS, type}, {CKA_LABEL, "odd"}, {CKA_TOKEN, false}}, &object);
  app.finalize();
}

void create_template_errors(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  app.create_object(session, Template{}, &object);
  app.create_object(session, {{CKA_CLASS, CKO_SECRET_KEY}}, &object);
  app.create_object(session, {{CKA_LABEL, "no class"}}, &object);
  app.create_object(session, aes().without(CKA_VALUE), &object);
  app.create_object(session, aes().without(CKA_KEY_TYPE), &object);
  app.create_object(session, aes().with({{CKA_VALUE, Bytes(15, 1)}}), &object);
  app.create_object(session, aes().with({{CKA_VALUE, Bytes{}}}), &object);
  app.create_object(session, aes().with({{CKA_KEY_TYPE, 0x7777}}), &object);
  app.create_object(session, aes().with({{CKA_MODULUS, pattern(128)}}), &object);
  app.create_object(session, aes().with({{0x7fffff12UL, "unknown attribute"}}), &object);
  app.create_object(session, aes().with({{CKA_LOCAL, true}}), &object);
  app.create_object(session, aes().with({{CKA_ALWAYS_SENSITIVE, true}}), &object);
  app.create_object(session, aes().with({{CKA_TRUSTED, true}}), &object);
  app.create_object(session, rsa_private().without(CKA_PRIVATE_EXPONENT), &object);
  app.create_object(session, rsa_public().without(CKA_MODULUS), &object);
  app.create_object(session, ec_public().with({{CKA_EC_POINT, pattern(30)}}), &object);
  app.create_object(session, certificate().without(CKA_VALUE), &object);
  app.create_object(session, certificate().without(CKA_SUBJECT), &object);
  app.finalize();
}

void create_template_malformed(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  app.create_object(session, data_object().with({Attribute(CKA_TOKEN, Bytes{})}), &object);
  app.create_object(session, data_object().with({Attribute(CKA_TOKEN, Bytes(4))}), &object);
  app.create_object(session, data_object().with({Attribute(CKA_PRIVATE, Bytes{7})}), &object);
  app.create_object(session, data_object().with({Attribute(CKA_CLASS, Bytes(3))}), &object);
  app.create_object(session, data_object().with({Attribute(CKA_CLASS, Bytes{})}), &object);
  app.create_object(session, data_object().with({Attribute(CKA_LABEL, Bytes{})}), &object);
  app.create_object(session, data_object().with({Attribute::null(CKA_LABEL, 0)}), &object);
  app.create_object(session, {{CKA_CLASS, CKO_DATA}, {CKA_LABEL, "one"}, {CKA_LABEL, "two"}}, &object);
  app.create_object(session, {{CKA_CLASS, CKO_DATA}, {CKA_LABEL, "same"}, {CKA_LABEL, "same"}}, &object);
  app.finalize();
}

void create_arguments(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  app.create_object(session, nullptr, &object);
  app.create_object(session, data_object(), nullptr);
  app.create_object(Application::kNoSession, data_object(), &object);
  app.create_object(CK_INVALID_HANDLE, nullptr, nullptr);
  app.finalize();
}

void create_large_data(Application& app) {
  const auto session = app.start_logged_in();
  for (std::size_t size : {1000u, 65536u, 300000u}) {
    const auto object = app.create(session, data_object().with({{CKA_VALUE, pattern(size)}}));
    app.get_attribute_value(session, object, lengths({CKA_VALUE}));
    const Attributes read = app.get_attribute_value(session, object, roomy({CKA_VALUE}, 300000));
    app.note("as written", read.answers[0].value == pattern(size));
  }
  app.finalize();
}

void create_nested_templates(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  const Template inner{{CKA_EXTRACTABLE, true}, {CKA_LABEL, "inner"}};
  app.create_object(session, aes().with({{CKA_WRAP_TEMPLATE, inner}}), &object);
  app.create_object(session, aes().with({{CKA_UNWRAP_TEMPLATE, inner}}), &object);
  app.create_object(session, aes().with({{CKA_UNWRAP_TEMPLATE, Template{}}}), &object);
  app.get_attribute_value(session, object, lengths({CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE}));
  app.finalize();
}

void create_allowed_mechanisms(Application& app) {
  const auto session = app.start_logged_in();
  Bytes allowed;
  for (CK_MECHANISM_TYPE type : {CKM_AES_ECB, CKM_AES_CBC}) {
    const Attribute number(CKA_ALLOWED_MECHANISMS, type);
    allowed.insert(allowed.end(), number.value.begin(), number.value.end());
  }
  CK_OBJECT_HANDLE key = 0;
  if (app.create_object(session, aes().with({{CKA_ALLOWED_MECHANISMS, allowed}}), &key) != CKR_OK) return;
  app.get_attribute_value(session, key, roomy({CKA_ALLOWED_MECHANISMS}));
  Mechanism ecb(CKM_AES_ECB), pad(CKM_AES_CBC_PAD, Bytes(16)), mac(CKM_AES_CMAC);
  app.encrypt_init(session, &ecb, key);
  app.encrypt(session, Bytes(16), Room::of(16));
  app.encrypt_init(session, &pad, key);
  app.sign_init(session, &mac, key);
  app.finalize();
}

void copy_objects(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  CK_OBJECT_HANDLE copy = 0, token_copy = 0;
  app.copy_object(session, object, {}, &copy);
  app.copy_object(session, object, {{CKA_LABEL, "copy"}, {CKA_TOKEN, true}}, &token_copy);
  app.get_attribute_value(session, token_copy, roomy({CKA_LABEL, CKA_TOKEN, CKA_VALUE}));
  app.set_attribute_value(session, copy, {{CKA_LABEL, "changed"}});
  app.get_attribute_value(session, object, roomy({CKA_LABEL}));
  app.copy_object(session, object, {{CKA_PRIVATE, true}}, &copy);
  app.get_attribute_value(session, copy, roomy({CKA_PRIVATE, CKA_VALUE}));
  app.copy_object(session, copy, {{CKA_PRIVATE, false}}, &token_copy);
  app.finalize();
}

void copy_keys(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes());
  CK_OBJECT_HANDLE copy = 0, next = 0;
  app.copy_object(session, key, {{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}, &copy);
  app.get_attribute_value(session, copy, roomy({CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_VALUE, CKA_CHECK_VALUE}));
  app.copy_object(session, copy, {{CKA_SENSITIVE, false}}, &next);
  app.copy_object(session, copy, {{CKA_EXTRACTABLE, true}}, &next);
  app.copy_object(session, key, {{CKA_VALUE, Bytes(16)}}, &next);
  app.copy_object(session, key, {{CKA_KEY_TYPE, CKK_DES3}}, &next);
  app.copy_object(session, key, {{CKA_CLASS, CKO_DATA}}, &next);
  app.finalize();
}

void copy_arguments(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  CK_OBJECT_HANDLE copy = 0;
  app.copy_object(session, Application::kNoObject, {}, &copy);
  app.copy_object(session, CK_INVALID_HANDLE, {}, &copy);
  app.copy_object(Application::kNoSession, object, {}, &copy);
  app.copy_object(session, object, {}, nullptr);
  const auto fixed = app.create(session, data_object().with({{CKA_COPYABLE, false}}));
  app.copy_object(session, fixed, {}, &copy);
  app.finalize();
}

void destroy_objects(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, stored("data"));
  app.destroy_object(session, object);
  app.destroy_object(session, object);
  app.destroy_object(session, CK_INVALID_HANDLE);
  app.destroy_object(session, Application::kNoObject);
  app.destroy_object(Application::kNoSession, object);
  app.find_all(session, {});
  app.finalize();
}

void destroy_undestroyable(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE object = 0;
  app.create_object(session, data_object().with({{CKA_DESTROYABLE, false}}), &object);
  app.destroy_object(session, object);
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_DESTROYABLE}));
  app.finalize();
}

void destroy_key_in_use(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  app.must(app.encrypt_init(session, &cbc, key), "C_EncryptInit");
  app.encrypt_update(session, Bytes(16), Room::of(64));
  app.destroy_object(session, key);
  app.encrypt_update(session, Bytes(16), Room::of(64));
  app.encrypt_final(session, Room::of(64));
  app.encrypt_init(session, &cbc, key);
  app.finalize();
}

void destroy_in_other_session(Application& app) {
  const auto session = app.start_logged_in();
  const auto other = app.open();
  const auto object = app.create(session, data_object());
  app.destroy_object(other, object);
  app.get_attribute_value(session, object, roomy({CKA_LABEL}));
  app.finalize();
}

void object_size(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  CK_ULONG size = 0;
  app.get_object_size(session, object, &size);
  app.get_object_size(session, object, nullptr);
  app.get_object_size(session, Application::kNoObject, &size);
  app.get_object_size(session, CK_INVALID_HANDLE, &size);
  app.get_object_size(Application::kNoSession, object, &size);
  app.finalize();
}

void many_objects(Application& app) {
  const auto session = app.start_logged_in();
  for (int i = 0; i < 100; ++i) app.create(session, data_object(("object " + std::to_string(i)).c_str()));
  app.find_all(session, {{CKA_CLASS, CKO_DATA}}, 7);
  app.find_all(session, {{CKA_LABEL, "object 50"}});
  app.finalize();
}

void identical_objects(Application& app) {
  const auto session = app.start_logged_in();
  const Template same = stored_privately("twin");
  const auto first = app.create(session, same), second = app.create(session, same);
  app.note("two handles", first != second);
  app.find_all(session, {{CKA_LABEL, "twin"}});
  app.set_attribute_value(session, first, {{CKA_LABEL, "first"}});
  app.get_attribute_value(session, second, roomy({CKA_LABEL}));
  app.destroy_object(session, first);
  app.get_attribute_value(session, second, roomy({CKA_LABEL}));
  app.find_all(session, {});
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(create_data),
    P11_CASE(create_private_data),
    P11_CASE(create_certificate),
    P11_CASE(create_rsa_public),
    P11_CASE(create_rsa_private),
    P11_CASE(create_ec_public),
    P11_CASE(create_ec_private),
    P11_CASE(create_ed25519_public),
    P11_CASE(create_ed25519_private),
    P11_CASE(create_aes),
    P11_CASE(create_aes_256_sensitive),
    P11_CASE(create_des3),
    P11_CASE(create_generic_secret),
    P11_CASE(create_domain_parameters),
    P11_CASE(create_other_classes),
    P11_CASE(create_template_errors),
    P11_CASE(create_template_malformed),
    P11_CASE(create_arguments),
    P11_CASE(create_large_data),
    P11_CASE(create_nested_templates),
    P11_CASE(create_allowed_mechanisms),
    P11_CASE(copy_objects),
    P11_CASE(copy_keys),
    P11_CASE(copy_arguments),
    P11_CASE(destroy_objects),
    P11_CASE(destroy_undestroyable),
    P11_CASE(destroy_key_in_use),
    P11_CASE(destroy_in_other_session),
    P11_CASE(object_size),
    P11_CASE(many_objects),
    P11_CASE(identical_objects),
};

}  // namespace

std::span<const Case> object_cases() { return kCases; }

}  // namespace p11shim::contract
