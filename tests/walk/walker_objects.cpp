#include <algorithm>
#include <cstring>

#include "walker.h"

namespace p11shim::walk {
namespace {

using namespace contract;

CK_ULONG number_of(const Template& attributes, CK_ATTRIBUTE_TYPE type, CK_ULONG otherwise) {
  for (const Attribute& attribute : attributes.attributes()) {
    if (attribute.type != type) continue;
    if (attribute.value.size() == 1) return attribute.value[0];
    CK_ULONG number = 0;
    std::memcpy(&number, attribute.value.data(), std::min(attribute.value.size(), sizeof number));
    return number;
  }
  return otherwise;
}

}  // namespace

std::string Walker::next_label() { return prefix_ + std::to_string(now_) + "-" + std::to_string(++labels_); }

void Walker::remember(Object handle, const Template& attributes, bool generated, Session owner) {
  keys_.push_back({handle, number_of(attributes, CKA_CLASS, CKO_SECRET_KEY),
                   number_of(attributes, CKA_KEY_TYPE, CKK_AES), number_of(attributes, CKA_TOKEN, 0) != 0,
                   number_of(attributes, CKA_PRIVATE, 1) != 0, generated, false, owner});
  if (keys_.size() > 40) keys_.pop_front();
}

const Walker::Key* Walker::any_key(Choice& choice) {
  if (keys_.empty()) return nullptr;
  // Mostly the latest.
  const std::size_t back = std::min(choice.below(keys_.size()), choice.below(keys_.size()));
  return &keys_[keys_.size() - 1 - back];
}

Walker::Object Walker::any_object(Choice& choice) {
  if (choice.one_in(40)) return Application::kNoObject;
  if (choice.one_in(40)) return CK_INVALID_HANDLE;
  const Key* key = any_key(choice);
  return key ? key->handle : CK_INVALID_HANDLE;
}

void Walker::create_object(Choice& choice) {
  const std::string label = next_label();
  Template attributes;
  switch (choice.below(11)) {
    case 0: attributes = data_object(label.c_str()); break;
    case 1: attributes = stored(label.c_str()).with({{CKA_TOKEN, choice.one_in(3) && alone_}}); break;
    case 2:
    case 3: attributes = rsa_private(label.c_str(), choice.one_in(3) ? 2048 : 1024); break;
    case 4:
    case 5: attributes = rsa_public(label.c_str(), choice.one_in(3) ? 2048 : 1024); break;
    case 6: attributes = ec_private(label.c_str()); break;
    case 7: attributes = ec_public(label.c_str()); break;
    case 8:
      attributes = generic(32, label.c_str()).with({{CKA_VALUE, pattern(32, static_cast<CK_BYTE>(choice.below(256)))}});
      break;
    case 9: attributes = des3(label.c_str()); break;
    default: attributes = aes(choice.one_in(2) ? 16 : 32, label.c_str()); break;
  }
  const bool key = number_of(attributes, CKA_CLASS, 0) >= CKO_PUBLIC_KEY;
  // On the token only what every backend keeps there, under an id of its own.
  // SoftHSM sometimes fails when several threads write to the token: only a walker that is alone does.
  if (key && choice.one_in(6) && alone_ && number_of(attributes, CKA_CLASS, 0) == CKO_SECRET_KEY)
    attributes = attributes.with({{CKA_TOKEN, true}, {CKA_ID, from_text(label)}});
  if (number_of(attributes, CKA_CLASS, 0) == CKO_SECRET_KEY && choice.one_in(3))
    attributes = attributes.with({{CKA_SENSITIVE, true}, {CKA_EXTRACTABLE, choice.one_in(2)}});
  if (choice.one_in(12)) attributes = attributes.with({{CKA_PRIVATE, choice.one_in(2)}});
  if (choice.one_in(20) && attributes.has(CKA_SIGN)) attributes = attributes.with({{CKA_SIGN, false}});
  // SoftHSM leaves a half-made object behind when a template is wrong; the proxy never shows it.
  const bool may_be_wrong = !app_.on("softhsm");
  if (choice.one_in(20) && may_be_wrong) attributes = attributes.without(CKA_VALUE);
  if (choice.one_in(30) && may_be_wrong) attributes = attributes.with({{CKA_MODULUS_BITS, 5}});
  const Session session = any_session(choice);
  Object object = CK_INVALID_HANDLE;
  if (app_.create_object(session, attributes, &object) == CKR_OK) remember(object, attributes, false, session);
}

void Walker::copy_object(Choice& choice) {
  const Key* key = any_key(choice);
  if (!key) return create_object(choice);
  const Key source = *key;
  const Session session = any_session(choice);
  Object copy = CK_INVALID_HANDLE;
  if (app_.copy_object(session, source.handle, {{CKA_LABEL, from_text(next_label())}, {CKA_TOKEN, false}}, &copy) !=
      CKR_OK)
    return;
  keys_.push_back(source);
  keys_.back().handle = copy;
  keys_.back().token = false;
  keys_.back().owner = session;
}

void Walker::destroy_object(Choice& choice) {
  const Object object = any_object(choice);
  if (app_.destroy_object(any_session(choice), object) != CKR_OK) return;
  // The number of a token object may come again with an equal object; that of a session object stays dead.
  for (Key& key : keys_)
    if (key.handle == object) key.dead = true;
  std::erase_if(keys_, [](const Key& key) { return key.dead && key.token; });
}

void Walker::get_attributes(Choice& choice) {
  static const std::vector<CK_ATTRIBUTE_TYPE> kTypes = {CKA_CLASS,
                                                        CKA_LABEL,
                                                        CKA_TOKEN,
                                                        CKA_PRIVATE,
                                                        CKA_VALUE,
                                                        CKA_KEY_TYPE,
                                                        CKA_ID,
                                                        CKA_MODULUS,
                                                        CKA_SENSITIVE,
                                                        CKA_LOCAL,
                                                        CKA_SIGN,
                                                        CKA_DECRYPT,
                                                        CKA_VALUE_LEN,
                                                        CKA_EC_POINT,
                                                        CKA_SUBJECT,
                                                        CKA_PRIME_1,
                                                        CKA_EXTRACTABLE,
                                                        CKA_KEY_GEN_MECHANISM,
                                                        CKA_PUBLIC_EXPONENT,
                                                        0x7fffff12UL};
  Query query;
  for (std::uint64_t left = choice.below(7); left > 0; --left) {
    const CK_ATTRIBUTE_TYPE type = choice.of(kTypes);
    if (choice.one_in(4)) {
      query.emplace_back(type);
      continue;
    }
    // NSS writes over what is too small, and what it then says of the others is its own.
    query.emplace_back(type, choice.one_in(4) && !app_.on("nss") ? choice.below(10) : 600);
  }
  app_.get_attribute_value(any_session(choice), any_object(choice), query);
}

void Walker::set_attributes(Choice& choice) {
  const Session session = any_session(choice);
  const Object object = any_object(choice);
  switch (choice.below(6)) {
    case 0: app_.set_attribute_value(session, object, {{CKA_CLASS, CKO_DATA}}); return;
    case 1:
      app_.set_attribute_value(session, object, {{CKA_LABEL, from_text(next_label())}, {CKA_LOCAL, true}});
      return;
    case 2:
      app_.set_attribute_value(session, object, {{choice.one_in(2) ? CKA_SIGN : CKA_ENCRYPT, choice.one_in(2)}});
      return;
    default: app_.set_attribute_value(session, object, {{CKA_LABEL, from_text(next_label())}}); return;
  }
}

void Walker::object_size(Choice& choice) {
  CK_ULONG size = 0;
  // A private format's size; that of generated values varies.
  const Key* key = any_key(choice);
  if (key && key->generated) return;
  app_.get_object_size(any_session(choice), key ? key->handle : Application::kNoObject, &size);
}

Template Walker::search(Choice& choice) {
  if (!alone_) return {{CKA_LABEL, from_text(prefix_ + std::to_string(choice.below(now_ + 1)) + "-1")}};
  switch (choice.below(6)) {
    case 0: return {};
    case 1: return {{CKA_CLASS, CKO_SECRET_KEY}};
    case 2: return {{CKA_TOKEN, choice.one_in(2)}};
    case 3: return {{CKA_PRIVATE, true}, {CKA_KEY_TYPE, CKK_AES}};
    case 4: return {{CKA_ID, Bytes{1, 2}}};
    default: return {{CKA_LABEL, from_text(prefix_ + std::to_string(choice.below(now_ + 1)) + "-1")}};
  }
}

void Walker::find_all(Choice& choice) {
  const Session session = any_session(choice);
  app_.find_all(session, search(choice), 1 + choice.below(8));
}

void Walker::find_step(Choice& choice) {
  const Session session = any_session(choice);
  switch (choice.below(3)) {
    case 0: app_.find_objects_init(session, search(choice)); return;
    case 1: app_.find_objects(session, choice.below(5)); return;
    default: app_.find_objects_final(session); return;
  }
}

void Walker::generate_key(Choice& choice) {
  const CK_MECHANISM_TYPE type = choice.one_in(3) ? CKM_GENERIC_SECRET_KEY_GEN : CKM_AES_KEY_GEN;
  Mechanism mechanism(choice.one_in(20) ? CKM_SHA256 : type);
  const Template attributes{{CKA_CLASS, CKO_SECRET_KEY},
                            {CKA_LABEL, from_text(next_label())},
                            {CKA_TOKEN, choice.one_in(8) && alone_},
                            {CKA_PRIVATE, !choice.one_in(6)},
                            {CKA_SENSITIVE, choice.one_in(2)},
                            {CKA_ENCRYPT, true},
                            {CKA_SIGN, true},
                            {CKA_VERIFY, true},
                            {CKA_VALUE_LEN, choice.one_in(8) ? 17 : 16},
                            {CKA_KEY_TYPE, type == CKM_AES_KEY_GEN ? CKK_AES : CKK_GENERIC_SECRET}};
  const Session session = any_session(choice);
  Object key = CK_INVALID_HANDLE;
  if (app_.generate_key(session, &mechanism, attributes, &key) == CKR_OK) remember(key, attributes, true, session);
}

void Walker::generate_pair(Choice& choice) {
  const bool rsa = choice.one_in(6);
  Mechanism mechanism(rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN);
  const CK_KEY_TYPE type = rsa ? CKK_RSA : CKK_EC;
  Template for_public{{CKA_CLASS, CKO_PUBLIC_KEY}, {CKA_KEY_TYPE, type}, {CKA_LABEL, from_text(next_label())},
                      {CKA_TOKEN, false},          {CKA_PRIVATE, false}, {CKA_VERIFY, true}};
  for_public = rsa ? for_public.with({{CKA_MODULUS_BITS, 1024}, {CKA_PUBLIC_EXPONENT, Bytes{1, 0, 1}}})
                   : for_public.with({{CKA_EC_PARAMS, p256_params()}});
  const Template for_private{{CKA_CLASS, CKO_PRIVATE_KEY}, {CKA_KEY_TYPE, type}, {CKA_LABEL, from_text(next_label())},
                             {CKA_TOKEN, false},           {CKA_PRIVATE, true},  {CKA_SIGN, true}};
  const Session session = any_session(choice);
  Object public_key = CK_INVALID_HANDLE, private_key = CK_INVALID_HANDLE;
  if (app_.generate_key_pair(session, &mechanism, for_public, for_private, &public_key, &private_key) != CKR_OK) return;
  remember(public_key, for_public, true, session);
  remember(private_key, for_private, true, session);
}

void Walker::wrap_and_unwrap(Choice& choice) {
  const Session session = any_session(choice);
  const Key* wrapping = any_key(choice);
  const Key* wrapped_key = any_key(choice);
  if (!wrapping || wrapping->generated || !wrapped_key || wrapped_key->generated) return;
  const Object wraps = wrapping->handle;
  static const std::vector<CK_MECHANISM_TYPE> kTypes = {CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD};
  Mechanism mechanism(choice.of(kTypes));
  const Outcome wrapped = app_.wrap_key(session, &mechanism, wraps, wrapped_key->handle, room(choice, 4096));
  if (wrapped.rv != CKR_OK || !wrapped.exact || wrapped.bytes.empty()) return;
  const Template attributes{{CKA_CLASS, CKO_SECRET_KEY},
                            {CKA_KEY_TYPE, CKK_GENERIC_SECRET},
                            {CKA_LABEL, from_text(next_label())},
                            {CKA_TOKEN, false},
                            {CKA_SIGN, true},
                            {CKA_SENSITIVE, false},
                            {CKA_EXTRACTABLE, true}};
  Object key = CK_INVALID_HANDLE;
  if (app_.unwrap_key(session, &mechanism, wraps, wrapped.bytes, attributes, &key) == CKR_OK)
    remember(key, attributes, false, session);
}

void Walker::derive(Choice& choice) {
  const Key* base = any_key(choice);
  if (!base || base->generated) return;
  const Object from = base->handle;
  Mechanism ecdh = Mechanism::ecdh(CKM_ECDH1_DERIVE, peer_point());
  Mechanism data =
      Mechanism::encrypt_data(CKM_AES_ECB_ENCRYPT_DATA, pattern(32, static_cast<CK_BYTE>(choice.below(9))));
  Mechanism& mechanism = base->type == CKK_EC || choice.one_in(10) ? ecdh : data;
  const Template attributes{{CKA_CLASS, CKO_SECRET_KEY}, {CKA_KEY_TYPE, CKK_AES}, {CKA_LABEL, from_text(next_label())},
                            {CKA_TOKEN, false},          {CKA_SENSITIVE, false},  {CKA_EXTRACTABLE, true},
                            {CKA_ENCRYPT, true},         {CKA_DECRYPT, true},     {CKA_VALUE_LEN, 16}};
  const Session session = any_session(choice);
  Object key = CK_INVALID_HANDLE;
  if (app_.derive_key(session, &mechanism, from, attributes, &key) == CKR_OK) remember(key, attributes, false, session);
}

}  // namespace p11shim::walk
