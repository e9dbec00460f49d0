// C_GetAttributeValue with its partial results, and C_SetAttributeValue (section 5.7).
#include <algorithm>

#include "cases.h"

namespace p11shim::contract {
namespace {

constexpr CK_ATTRIBUTE_TYPE kUnknown = 0x7fffff12UL;

void lengths_then_values(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  const Query asked = lengths({CKA_CLASS, CKA_LABEL, CKA_APPLICATION, CKA_VALUE, CKA_TOKEN, CKA_OBJECT_ID});
  const Attributes answer = app.get_attribute_value(session, object, asked);
  Query exact;
  for (const Answer& one : answer.answers)
    exact.emplace_back(one.type, one.length == CK_UNAVAILABLE_INFORMATION ? 0 : one.length);
  app.get_attribute_value(session, object, exact);
  app.finalize();
}

// Everything that can be wrong with one attribute, in every order: each length must come back on its own.
void partial_results_in_every_order(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes().with({{CKA_SENSITIVE, true}}));
  const Wanted good(CKA_LABEL, 64), sensitive(CKA_VALUE, 64), invalid(CKA_MODULUS, 64), small(CKA_CLASS, 3);
  std::vector<Wanted> kinds = {good, sensitive, invalid, small};
  std::vector<int> order = {0, 1, 2, 3};
  do {
    Query query;
    for (int index : order) query.push_back(kinds[static_cast<std::size_t>(index)]);
    app.get_attribute_value(session, key, query);
  } while (std::ranges::next_permutation(order).found);
  app.finalize();
}

void partial_results_one_kind_each(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes().with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
  app.get_attribute_value(session, key, {{CKA_VALUE, 64}, {CKA_LABEL, 64}});
  app.get_attribute_value(session, key, {{CKA_VALUE}, {CKA_LABEL}});
  app.get_attribute_value(session, key, {{kUnknown, 64}, {CKA_LABEL, 64}});
  app.get_attribute_value(session, key, {{kUnknown}, {CKA_LABEL}});
  app.get_attribute_value(session, key, {{CKA_LABEL, 1}, {CKA_CLASS, sizeof(CK_ULONG)}});
  app.get_attribute_value(session, key, {{CKA_LABEL, 0}, {CKA_CLASS, 0}});
  app.get_attribute_value(session, key, {{CKA_LABEL, 64}, {CKA_LABEL, 2}, {CKA_LABEL}, {CKA_LABEL, 64}});
  app.finalize();
}

void too_small_by_one(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object("label", "0123456789"));
  for (CK_ULONG room : {0UL, 1UL, 9UL, 10UL, 11UL}) app.get_attribute_value(session, object, {{CKA_VALUE, room}});
  for (CK_ULONG room : {1UL, 4UL, 7UL, 8UL, 9UL}) app.get_attribute_value(session, object, {{CKA_CLASS, room}});
  for (CK_ULONG room : {0UL, 1UL, 2UL}) app.get_attribute_value(session, object, {{CKA_TOKEN, room}});
  app.finalize();
}

void empty_values(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, {{CKA_CLASS, CKO_DATA}, {CKA_TOKEN, false}});
  app.get_attribute_value(session, object, lengths({CKA_LABEL, CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE}));
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE}, 8));
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_VALUE}, 0));
  app.finalize();
}

void of_every_class(Application& app) {
  const auto session = app.start_logged_in();
  for (const Template& attributes :
       {data_object(), stored("certificate").with({{CKA_TOKEN, false}}), rsa_public(), rsa_private(), aes()}) {
    const auto object = app.create(session, attributes);
    for (CK_ATTRIBUTE_TYPE type : {CKA_CLASS,
                                   CKA_APPLICATION,
                                   CKA_OBJECT_ID,
                                   CKA_CERTIFICATE_TYPE,
                                   CKA_ISSUER,
                                   CKA_SERIAL_NUMBER,
                                   CKA_URL,
                                   CKA_JAVA_MIDP_SECURITY_DOMAIN,
                                   CKA_CERTIFICATE_CATEGORY,
                                   CKA_HASH_OF_SUBJECT_PUBLIC_KEY,
                                   CKA_MODULUS,
                                   CKA_PRIVATE_EXPONENT,
                                   CKA_PRIME_1,
                                   CKA_COEFFICIENT,
                                   CKA_VALUE,
                                   CKA_VALUE_LEN,
                                   CKA_EC_PARAMS,
                                   CKA_PRIME,
                                   CKA_UNIQUE_ID,
                                   CKA_PROFILE_ID,
                                   CKA_WRAP_TEMPLATE,
                                   CKA_ALLOWED_MECHANISMS,
                                   CKA_OTP_FORMAT})
      app.get_attribute_value(session, object, {{type, 1024}});
  }
  app.finalize();
}

void sensitive_and_extractable(Application& app) {
  const auto session = app.start_logged_in();
  for (bool sensitive : {false, true}) {
    for (bool extractable : {false, true}) {
      const auto key = app.create(session, aes().with({{CKA_SENSITIVE, sensitive}, {CKA_EXTRACTABLE, extractable}}));
      app.get_attribute_value(session, key, {{CKA_VALUE, 16}});
      app.get_attribute_value(session, key, {{CKA_VALUE}});
      app.get_attribute_value(session, key, roomy({CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_CHECK_VALUE}));
    }
  }
  app.finalize();
}

void rsa_private_not_sensitive(Application& app) {
  const auto session = app.start_logged_in();
  CK_OBJECT_HANDLE key = 0;
  app.create_object(session, rsa_private().with({{CKA_SENSITIVE, false}}), &key);
  app.get_attribute_value(session, key, roomy({CKA_MODULUS, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_COEFFICIENT}));
  app.finalize();
}

void get_arguments(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  app.get_attribute_value(session, object, {});
  app.get_attribute_value_null(session, object, 0);
  app.get_attribute_value_null(session, object, 1);
  app.get_attribute_value(session, Application::kNoObject, roomy({CKA_LABEL}));
  app.get_attribute_value(session, CK_INVALID_HANDLE, roomy({CKA_LABEL}));
  app.get_attribute_value(Application::kNoSession, object, roomy({CKA_LABEL}));
  app.finalize();
}

void get_many_attributes(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  Query query;
  for (int i = 0; i < 200; ++i) query.emplace_back(i % 2 ? CKA_LABEL : CKA_VALUE, 16 + static_cast<CK_ULONG>(i));
  app.get_attribute_value(session, object, query);
  app.finalize();
}

void set_and_get(Application& app) {
  const auto session = app.start_logged_in();
  for (bool token : {false, true}) {
    const auto object = app.create(session, token ? stored("data") : data_object());
    app.set_attribute_value(session, object, {{CKA_LABEL, "a longer label than before"}, {CKA_VALUE, "new"}});
    app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_VALUE, CKA_APPLICATION}));
    app.set_attribute_value(session, object, {{CKA_LABEL, Bytes{}}});
    app.get_attribute_value(session, object, roomy({CKA_LABEL}));
    app.find_all(session, {{CKA_LABEL, "a longer label than before"}});
  }
  app.finalize();
}

void set_label_keeps_handle(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, stored("certificate"));
  app.set_attribute_value(session, object, {{CKA_LABEL, "renamed"}});
  const Found found = app.find_all(session, {{CKA_LABEL, "renamed"}});
  app.note("same handle", found.objects == std::vector<CK_OBJECT_HANDLE>{object});
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_ID}));
  app.set_attribute_value(session, object, {{CKA_ID, Bytes{9, 9, 9}}});
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_ID}));
  app.find_all(session, {{CKA_ID, Bytes{9, 9, 9}}});
  app.finalize();
}

void set_forbidden(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes().with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, false}}));
  app.set_attribute_value(session, key, {{CKA_CLASS, CKO_DATA}});
  app.set_attribute_value(session, key, {{CKA_KEY_TYPE, CKK_DES3}});
  app.set_attribute_value(session, key, {{CKA_VALUE, Bytes(16)}});
  app.set_attribute_value(session, key, {{CKA_TOKEN, true}});
  app.set_attribute_value(session, key, {{CKA_PRIVATE, false}});
  app.set_attribute_value(session, key, {{CKA_SENSITIVE, false}});
  app.set_attribute_value(session, key, {{CKA_EXTRACTABLE, true}});
  app.set_attribute_value(session, key, {{CKA_LOCAL, true}});
  app.set_attribute_value(session, key, {{CKA_MODULUS, Bytes(16)}});
  app.set_attribute_value(session, key, {{kUnknown, "x"}});
  app.set_attribute_value(session, key, {{CKA_LABEL, "set nevertheless?"}, {CKA_LOCAL, true}});
  app.get_attribute_value(session, key, roomy({CKA_LABEL, CKA_LOCAL, CKA_SENSITIVE}));
  app.finalize();
}

void set_tightens_only(Application& app) {
  const auto session = app.start_logged_in();
  const auto key = app.create(session, aes());
  app.set_attribute_value(session, key, {{CKA_SENSITIVE, true}});
  app.get_attribute_value(session, key, roomy({CKA_SENSITIVE, CKA_VALUE}));
  app.set_attribute_value(session, key, {{CKA_EXTRACTABLE, false}});
  app.set_attribute_value(session, key, {{CKA_ENCRYPT, false}});
  Mechanism ecb(CKM_AES_ECB);
  app.encrypt_init(session, &ecb, key);
  app.decrypt_init(session, &ecb, key);
  app.decrypt(session, Bytes(16), Room::of(16));
  app.set_attribute_value(session, key, {{CKA_ENCRYPT, true}});
  app.encrypt_init(session, &ecb, key);
  app.finalize();
}

void set_unmodifiable(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object().with({{CKA_MODIFIABLE, false}}));
  app.set_attribute_value(session, object, {{CKA_LABEL, "changed"}});
  app.get_attribute_value(session, object, roomy({CKA_LABEL, CKA_MODIFIABLE}));
  app.finalize();
}

void set_arguments(Application& app) {
  const auto session = app.start_logged_in();
  const auto object = app.create(session, data_object());
  app.set_attribute_value(session, object, {});
  app.set_attribute_value(session, Application::kNoObject, {{CKA_LABEL, "x"}});
  app.set_attribute_value(session, CK_INVALID_HANDLE, {{CKA_LABEL, "x"}});
  app.set_attribute_value(Application::kNoSession, object, {{CKA_LABEL, "x"}});
  app.set_attribute_value(session, object, {Attribute::null(CKA_LABEL, 0)});
  app.get_attribute_value(session, object, roomy({CKA_LABEL}));
  app.finalize();
}

void set_seen_in_other_session(Application& app) {
  const auto session = app.start_logged_in();
  const auto other = app.open(0);
  const auto object = app.create(session, stored("data"));
  app.get_attribute_value(other, object, roomy({CKA_LABEL}));
  app.set_attribute_value(session, object, {{CKA_LABEL, "changed"}});
  app.get_attribute_value(other, object, roomy({CKA_LABEL}));
  app.find_all(other, {{CKA_LABEL, "changed"}});
  app.find_all(other, {{CKA_LABEL, "data"}});
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(lengths_then_values),
    P11_CASE(partial_results_in_every_order),
    P11_CASE(partial_results_one_kind_each),
    P11_CASE(too_small_by_one),
    P11_CASE(empty_values),
    P11_CASE(of_every_class),
    P11_CASE(sensitive_and_extractable),
    P11_CASE(rsa_private_not_sensitive),
    P11_CASE(get_arguments),
    P11_CASE(get_many_attributes),
    P11_CASE(set_and_get),
    P11_CASE(set_label_keeps_handle),
    P11_CASE(set_forbidden),
    P11_CASE(set_tightens_only),
    P11_CASE(set_unmodifiable),
    P11_CASE(set_arguments),
    P11_CASE(set_seen_in_other_session),
};

}  // namespace

std::span<const Case> attribute_cases() { return kCases; }

}  // namespace p11shim::contract
