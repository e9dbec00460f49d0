#include "tools/shimctl/audit/inventory.h"

#include <algorithm>
#include <array>
#include <map>

#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_type.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/progress.h"

namespace p11shim {

namespace {

constexpr std::array<CK_ATTRIBUTE_TYPE, 33> kOfKeys{CKA_CLASS,
                                                    CKA_LABEL,
                                                    CKA_ID,
                                                    CKA_KEY_TYPE,
                                                    CKA_MODULUS,
                                                    CKA_PUBLIC_EXPONENT,
                                                    CKA_EC_PARAMS,
                                                    CKA_EC_POINT,
                                                    CKA_VALUE_LEN,
                                                    CKA_SIGN,
                                                    CKA_VERIFY,
                                                    CKA_ENCRYPT,
                                                    CKA_DECRYPT,
                                                    CKA_WRAP,
                                                    CKA_UNWRAP,
                                                    CKA_DERIVE,
                                                    CKA_SIGN_RECOVER,
                                                    CKA_VERIFY_RECOVER,
                                                    CKA_SENSITIVE,
                                                    CKA_EXTRACTABLE,
                                                    CKA_LOCAL,
                                                    CKA_TOKEN,
                                                    CKA_NEVER_EXTRACTABLE,
                                                    CKA_ALWAYS_SENSITIVE,
                                                    CKA_PRIVATE,
                                                    CKA_TRUSTED,
                                                    CKA_START_DATE,
                                                    CKA_END_DATE,
                                                    CKA_WRAP_WITH_TRUSTED,
                                                    CKA_ALLOWED_MECHANISMS,
                                                    CKA_MODIFIABLE,
                                                    CKA_ALWAYS_AUTHENTICATE,
                                                    CKA_KEY_GEN_MECHANISM};
constexpr std::array<CK_ATTRIBUTE_TYPE, 8> kOfCertificates{CKA_CLASS,   CKA_LABEL, CKA_ID,    CKA_CERTIFICATE_TYPE,
                                                           CKA_SUBJECT, CKA_VALUE, CKA_TOKEN, CKA_TRUSTED};

// What a snapshot has elsewhere (its name, size and fingerprint), or what is the same of all.
constexpr std::array kNotCompared{
    CKA_CLASS,     CKA_LABEL,    CKA_ID,        CKA_KEY_TYPE, CKA_MODULUS,          CKA_PUBLIC_EXPONENT,
    CKA_EC_PARAMS, CKA_EC_POINT, CKA_VALUE_LEN, CKA_TOKEN,    CKA_KEY_GEN_MECHANISM};

bool is_compared(CK_ATTRIBUTE_TYPE type) {
  return std::find(kNotCompared.begin(), kNotCompared.end(), type) == kNotCompared.end();
}

std::string spki(const ObjectAttributes& attributes) {
  const PublicKey key = public_key_of(attributes);
  return key ? spki_of(key) : std::string();
}

void name_objects(std::vector<AuditedObject>& objects) {
  std::map<std::string, std::size_t> seen;
  for (AuditedObject& object : objects) {
    object.identity = class_name(object.object_class) + " " + object.label() + " " + hex(object.id());
    if (const auto count = ++seen[object.identity]; count > 1) object.identity += " #" + std::to_string(count);
  }
}

void join_halves(std::vector<AuditedObject>& objects) {
  std::multimap<std::pair<CK_KEY_TYPE, std::string>, const AuditedObject*> halves;
  for (const AuditedObject& object : objects)
    if (object.object_class == CKO_PUBLIC_KEY && !object.id().empty())
      halves.emplace(std::pair(object.type, object.id()), &object);
  for (AuditedObject& object : objects) {
    if (object.object_class != CKO_PRIVATE_KEY || !object.public_key.empty()) continue;
    const std::pair key(object.type, object.id());
    if (halves.count(key) == 1) object.public_key = halves.find(key)->second->public_key;
  }
}

}  // namespace

std::vector<AuditedObject> take_inventory(const Invocation& invocation, const Session& session) {
  std::vector<std::pair<CK_OBJECT_CLASS, CK_OBJECT_HANDLE>> found;
  for (const CK_OBJECT_CLASS object_class : {CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE})
    for (const auto handle : session.find(Template().set(CKA_CLASS, object_class).set(CKA_TOKEN, true)))
      found.emplace_back(object_class, handle);
  Progress progress(invocation, "reading keys", found.size(), "objects");
  std::vector<AuditedObject> objects;
  for (const auto& [object_class, handle] : found) {
    AuditedObject object{.handle = handle, .object_class = object_class};
    const bool certificate = object_class == CKO_CERTIFICATE;
    object.attributes = certificate ? session.read(handle, kOfCertificates) : session.read(handle, kOfKeys);
    object.type = object.attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
    if (object_class == CKO_PRIVATE_KEY || object_class == CKO_PUBLIC_KEY) object.public_key = spki(object.attributes);
    objects.push_back(std::move(object));
    progress.advance(1);
  }
  name_objects(objects);
  join_halves(objects);
  return objects;
}

Value snapshot_of(const AuditedObject& object) {
  Value kept;
  kept.set("identity", object.identity).set("class", class_name(object.object_class));
  const bool key = object.object_class != CKO_CERTIFICATE;
  kept.set("type", key ? Value(key_type_name(object.type)) : Value());
  kept.set("size", key ? key_size(object.attributes) : Value());
  std::string print = object.public_key;
  if (!key) print = object.attributes.text(CKA_VALUE);
  kept.set("fingerprint", print.empty() ? Value() : Value(hex(sha256_of(print))));
  Value attributes = Value::Record{};
  for (const auto type : kOfKeys)
    if (const auto bytes = object.attributes.bytes(type); key && bytes && is_compared(type))
      attributes.set(attribute_name(type), attribute_value(type, *bytes));
  kept.set("attributes", std::move(attributes));
  return kept;
}

}  // namespace p11shim
