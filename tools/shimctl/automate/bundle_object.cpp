#include "tools/shimctl/automate/bundle_object.h"

#include <array>

#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/automate/canary.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/check_value.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_restrictions.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array<CK_ATTRIBUTE_TYPE, 21> kKept{CKA_CLASS,
                                                  CKA_KEY_TYPE,
                                                  CKA_LABEL,
                                                  CKA_ID,
                                                  CKA_PRIVATE,
                                                  CKA_SENSITIVE,
                                                  CKA_EXTRACTABLE,
                                                  CKA_ENCRYPT,
                                                  CKA_DECRYPT,
                                                  CKA_SIGN,
                                                  CKA_VERIFY,
                                                  CKA_SIGN_RECOVER,
                                                  CKA_VERIFY_RECOVER,
                                                  CKA_WRAP,
                                                  CKA_UNWRAP,
                                                  CKA_DERIVE,
                                                  CKA_SUBJECT,
                                                  CKA_START_DATE,
                                                  CKA_END_DATE,
                                                  CKA_MODIFIABLE,
                                                  CKA_ALLOWED_MECHANISMS};
// The content of what is no secret.
constexpr std::array<CK_ATTRIBUTE_TYPE, 10> kOpenContent{
    CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT,    CKA_CERTIFICATE_TYPE,
    CKA_ISSUER,  CKA_SERIAL_NUMBER,   CKA_VALUE,     CKA_APPLICATION, CKA_OBJECT_ID};

json attributes_json(const Session& session, CK_OBJECT_HANDLE object, bool open) {
  std::vector<CK_ATTRIBUTE_TYPE> wanted(kKept.begin(), kKept.end());
  if (open) wanted.insert(wanted.end(), kOpenContent.begin(), kOpenContent.end());
  json kept = json::object();
  for (const auto type : wanted) {
    std::string value;
    if (session.read_one(object, type, value) != CKR_OK || value.empty()) continue;
    kept[hexadecimal(type, 8)] = hex(value);
  }
  // Those that not every module knows only where they say something.
  for (const auto& restriction : kKeyRestrictions) {
    const auto name = hexadecimal(restriction.type, 8);
    std::string value;
    if (kept.contains(name) || session.read_one(object, restriction.type, value) != CKR_OK) continue;
    if (value == std::string(1, restriction.without ? CK_FALSE : CK_TRUE)) kept[name] = hex(value);
  }
  std::string trusted;
  if (session.read_one(object, CKA_TRUSTED, trusted) == CKR_OK && trusted == std::string(1, CK_TRUE))
    kept[hexadecimal(CKA_TRUSTED, 8)] = hex(trusted);
  return kept;
}

json described(const ObjectAttributes& attributes, CK_OBJECT_CLASS object_class) {
  return {
      {"class", class_name(object_class)}, {"label", attributes.text(CKA_LABEL)}, {"id", hex(attributes.text(CKA_ID))}};
}

}  // namespace

bool is_secret_class(CK_OBJECT_CLASS object_class) {
  return object_class == CKO_PRIVATE_KEY || object_class == CKO_SECRET_KEY;
}

CK_OBJECT_CLASS class_of(const json& object) { return *parse_class(object["class"].get<std::string>()); }

Template template_of(const json& attributes, bool to_token) {
  Template values;
  for (const auto& [name, value] : attributes.items()) {
    const CK_ATTRIBUTE_TYPE type = std::strtoul(name.c_str(), nullptr, 16);
    // Trust is the security officer's to give; what lives for a moment must go again.
    if (type == CKA_TRUSTED || (type == CKA_DESTROYABLE && !to_token)) continue;
    values.set(type, std::string_view(parse_hex(value.get<std::string>()).value_or("")));
  }
  return values.set(CKA_TOKEN, to_token);
}

std::string fingerprint(const Session& session, CK_OBJECT_HANDLE object) {
  const auto key = public_key_of(session, object);
  return key ? hex(sha256_of(spki_of(key))) : "";
}

json object_entry(const Session& session, const BackupKek& kek, CK_OBJECT_HANDLE object) {
  const auto attributes = session.read(object, std::array{CKA_CLASS, CKA_LABEL, CKA_ID, CKA_EXTRACTABLE, CKA_PRIVATE});
  const auto object_class = attributes.number(CKA_CLASS).value_or(CKO_VENDOR_DEFINED);
  json entry = described(attributes, object_class);
  const bool secret = is_secret_class(object_class);
  if (object == kek.handle()) entry["why"] = "it is the KEK; keep it elsewhere";
  if (secret && !attributes.is(CKA_EXTRACTABLE) && !entry.contains("why")) entry["why"] = "it is not extractable";
  if (secret || object_class == CKO_PUBLIC_KEY) {
    const auto why = unrepeatable(session, object);
    if (!why.empty() && !entry.contains("why")) entry["why"] = why + ", which cannot be kept";
  }
  if (object_class == CKO_DATA && attributes.is(CKA_PRIVATE)) entry["why"] = "private data cannot be wrapped";
  std::string wrapped;
  try {
    if (secret && !entry.contains("why")) wrapped = kek.wrap(object);
  } catch (const CallError& error) {
    if (error.rv() != CKR_KEY_NOT_WRAPPABLE && error.rv() != CKR_KEY_UNEXTRACTABLE) throw;
    entry["why"] = std::string("the token cannot wrap it: ") + error.what();  // SoftHSM's Ed25519 keys
  }
  if (entry.contains("why")) return entry;
  entry["spki_sha256"] = object_class == CKO_SECRET_KEY ? "" : fingerprint(session, object);
  entry["check_value"] = object_class == CKO_SECRET_KEY ? check_value(session, object) : "";
  entry["attributes"] = attributes_json(session, object, !secret);
  entry["wrapped"] = hex(wrapped);
  return entry;
}

CK_OBJECT_HANDLE restore_object(const Session& session, const BackupKek& kek, const json& object, bool to_token,
                                std::string* loss) {
  const Template attributes = template_of(object["attributes"], to_token);
  const auto object_class = class_of(object);
  const bool secret = is_secret_class(object_class);
  const auto wrapped = parse_hex(object["wrapped"].get<std::string>()).value_or("");
  const CK_OBJECT_HANDLE made = secret ? kek.unwrap(wrapped, attributes) : session.create(attributes);
  const auto fail = [&](const std::string& why) {
    session.module()->C_DestroyObject(session.handle(), made);
    throw Failure(ExitCode::kNegative, in_quotes(object["label"].get<std::string>()) + " is not what it was: " + why,
                  "");
  };
  const auto lost = lost_restrictions(session, made, attributes);
  if (!lost.empty()) fail("the token does not keep " + lost);
  const auto value = object["check_value"].get<std::string>();
  if (!value.empty() && check_value(session, made) != value) fail("another check value");
  const auto wanted = object["spki_sha256"].get<std::string>();
  if (!wanted.empty() && (!secret || to_token)) {
    if (fingerprint(session, made) != wanted) fail("another fingerprint");
  }
  if (object_class == CKO_PRIVATE_KEY && to_token) {
    const std::string wrong = trial_of(session, made);
    if (!wrong.empty()) fail(wrong);
  }
  if (to_token && object["attributes"].contains(hexadecimal(CKA_TRUSTED, 8))) {
    CK_BBOOL trusted = CK_TRUE;
    CK_ATTRIBUTE change{CKA_TRUSTED, &trusted, sizeof trusted};
    if (session.module()->C_SetAttributeValue(session.handle(), made, &change, 1) != CKR_OK && loss != nullptr)
      *loss = "it is not trusted any more: only the security officer can say so";
  }
  return made;
}

}  // namespace p11shim
