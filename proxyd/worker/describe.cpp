#include "proxyd/worker/describe.h"

#include <algorithm>
#include <array>
#include <vector>

#include "calls/templates.h"
#include "proxyd/worker/object_attributes.h"

namespace p11shim {
namespace {

constexpr std::size_t kMostKnown = 1 << 20;     // then everything is described anew
constexpr std::size_t kLargestAnnex = 8 << 20;  // bytes; the description that reaches it is the last in its frame

constexpr std::array kFirst = {CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_KEY_TYPE, CKA_ID, CKA_LABEL};
// Proof of what a key is: its public part.
constexpr std::array kKeyContent = {CKA_MODULUS,         CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT,
                                    CKA_PUBLIC_KEY_INFO, CKA_PRIME,           CKA_SUBPRIME,  CKA_BASE};
constexpr std::array kKeyHints = {CKA_VALUE_LEN, CKA_CHECK_VALUE,       CKA_START_DATE,
                                  CKA_END_DATE,  CKA_KEY_GEN_MECHANISM, CKA_LOCAL};
constexpr CK_ATTRIBUTE_TYPE kUniqueId = 0x00000004UL;  // CKA_UNIQUE_ID, 3.0

// What a copy is made from, by class. Not what the module sets by itself, nor what only the SO may say (CKA_TRUSTED).
constexpr std::array kOfAll = {CKA_CLASS,      CKA_TOKEN,    CKA_PRIVATE,    CKA_LABEL,
                               CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE};
constexpr std::array kOfData = {CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE};
constexpr std::array kOfCertificates = {CKA_CERTIFICATE_TYPE,
                                        CKA_CERTIFICATE_CATEGORY,
                                        CKA_SUBJECT,
                                        CKA_ID,
                                        CKA_ISSUER,
                                        CKA_SERIAL_NUMBER,
                                        CKA_VALUE,
                                        CKA_URL,
                                        CKA_HASH_OF_SUBJECT_PUBLIC_KEY,
                                        CKA_HASH_OF_ISSUER_PUBLIC_KEY,
                                        CKA_START_DATE,
                                        CKA_END_DATE};
constexpr std::array kOfKeys = {CKA_KEY_TYPE, CKA_ID, CKA_START_DATE, CKA_END_DATE, CKA_DERIVE};
constexpr std::array kOfPublicKeys = {
    CKA_SUBJECT,   CKA_ENCRYPT,  CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP, CKA_MODULUS, CKA_PUBLIC_EXPONENT,
    CKA_EC_PARAMS, CKA_EC_POINT, CKA_PRIME,  CKA_SUBPRIME,       CKA_BASE, CKA_VALUE};
constexpr std::array kOfPrivateKeys = {CKA_SUBJECT,     CKA_SENSITIVE,           CKA_DECRYPT,
                                       CKA_SIGN,        CKA_SIGN_RECOVER,        CKA_UNWRAP,
                                       CKA_EXTRACTABLE, CKA_ALWAYS_AUTHENTICATE, CKA_WRAP_WITH_TRUSTED};
constexpr std::array kOfSecretKeys = {CKA_SENSITIVE, CKA_ENCRYPT,     CKA_DECRYPT,
                                      CKA_SIGN,      CKA_VERIFY,      CKA_WRAP,
                                      CKA_UNWRAP,    CKA_EXTRACTABLE, CKA_WRAP_WITH_TRUSTED};

std::vector<CK_ATTRIBUTE_TYPE> types_of_a_copy(CK_OBJECT_CLASS object_class) {
  std::vector<CK_ATTRIBUTE_TYPE> types(kOfAll.begin(), kOfAll.end());
  const auto add = [&](std::span<const CK_ATTRIBUTE_TYPE> more) {
    types.insert(types.end(), more.begin(), more.end());
  };
  if (object_class == CKO_DATA) add(kOfData);
  if (object_class == CKO_CERTIFICATE) add(kOfCertificates);
  if (object_class == CKO_PUBLIC_KEY || object_class == CKO_PRIVATE_KEY || object_class == CKO_SECRET_KEY) add(kOfKeys);
  if (object_class == CKO_PUBLIC_KEY) add(kOfPublicKeys);
  if (object_class == CKO_PRIVATE_KEY) add(kOfPrivateKeys);
  if (object_class == CKO_SECRET_KEY) add(kOfSecretKeys);
  return types;
}

// Where leaving an attribute out means this value by the standard; modules that do not know it need not be told.
bool says_nothing(CK_ATTRIBUTE_TYPE type, std::span<const std::uint8_t> value) {
  switch (type) {
    case CKA_MODIFIABLE:
    case CKA_COPYABLE:
    case CKA_DESTROYABLE: return value[0] != CK_FALSE;
    case CKA_ALWAYS_AUTHENTICATE:
    case CKA_WRAP_WITH_TRUSTED: return value[0] == CK_FALSE;
    default: return false;
  }
}

void put(Out& out, const ObjectAttributes& attributes, std::span<const CK_ATTRIBUTE_TYPE> types) {
  for (const CK_ATTRIBUTE_TYPE type : types)
    if (const auto value = attributes[type]; !value.empty()) {
      out.uint(type);
      out.bin(value);
    }
}

}  // namespace

void Describer::describe(CK_SESSION_HANDLE session, std::span<const std::uint64_t> objects, Which which,
                         Buffer& annex) {
  Out out(annex);
  for (const std::uint64_t object : objects) {
    if (annex.size() >= kLargestAnnex) return;
    if (which == Which::unknown_only && is_known(object)) continue;
    remember(object);
    describe_one(session, object, out);
  }
}

CK_RV Describer::read_template(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, std::vector<CK_ATTRIBUTE_TYPE> types,
                               Out& out) {
  const bool whole = types.empty();
  if (whole) {
    constexpr std::array kClass = {CKA_CLASS};
    ObjectAttributes first(kClass);
    first.read(module_.functions(), session, object);
    CK_ULONG object_class = 0;
    if (!first.number(CKA_CLASS, object_class)) return CKR_OBJECT_HANDLE_INVALID;
    types = types_of_a_copy(object_class);
  }
  ObjectAttributes attributes(types);
  attributes.read(module_.functions(), session, object);
  std::vector<CK_ATTRIBUTE> shown;
  for (const CK_ATTRIBUTE_TYPE type : types) {
    const auto value = attributes[type];
    if (value.empty() || (whole && says_nothing(type, value))) continue;
    shown.push_back({type, const_cast<std::uint8_t*>(value.data()), value.size()});
  }
  if (shown.empty()) return CKR_OBJECT_HANDLE_INVALID;
  out.mark_secret();
  encode_template(out, shown.data(), shown.size());
  return CKR_OK;
}

void Describer::forget(CK_OBJECT_HANDLE object) {
  const std::lock_guard lock(mutex_);
  known_.erase(object);
}

void Describer::forget_all() {
  const std::lock_guard lock(mutex_);
  known_.clear();
}

bool Describer::is_known(CK_OBJECT_HANDLE object) {
  const std::lock_guard lock(mutex_);
  return known_.contains(object);
}

void Describer::remember(CK_OBJECT_HANDLE object) {
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kMostKnown) known_.clear();
  known_.insert(object);
}

void Describer::describe_one(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Out& out) {
  Description description;
  description.object = object;
  ObjectAttributes first(kFirst);
  first.read(module_.functions(), session, object);
  CK_ULONG number = 0;
  if (!first.number(CKA_CLASS, number) || first[CKA_TOKEN].empty()) {
    forget(object);
    return write_description(out, description);
  }
  description.readable = true;
  description.object_class = number;
  description.is_token = first.flag(CKA_TOKEN);
  description.is_private = first.flag(CKA_PRIVATE);
  description.has_key_type = first.number(CKA_KEY_TYPE, description.key_type);
  description.id = first[CKA_ID];
  description.label = first[CKA_LABEL];
  if (!description.is_token) return write_description(out, description);

  const bool is_key = description.object_class == CKO_PUBLIC_KEY || description.object_class == CKO_PRIVATE_KEY ||
                      description.object_class == CKO_SECRET_KEY;
  // The value of anything but a secret or private key is public, or as readable for us as for the application.
  const bool value_is_content = !is_key || description.object_class == CKO_PUBLIC_KEY;
  std::vector<CK_ATTRIBUTE_TYPE> types;
  if (is_key) types.assign(kKeyContent.begin(), kKeyContent.end());
  else types = {CKA_CERTIFICATE_TYPE, CKA_APPLICATION, CKA_OBJECT_ID};
  if (value_is_content) types.push_back(CKA_VALUE);
  const std::size_t content_count = types.size();
  if (is_key) types.insert(types.end(), kKeyHints.begin(), kKeyHints.end());
  types.push_back(kUniqueId);
  const std::size_t shown_count = types.size();
  const auto counters = module_.counters();
  if (is_key && !value_is_content) types.insert(types.end(), counters.begin(), counters.end());

  ObjectAttributes more(types);
  if (!more.read(module_.functions(), session, object)) {  // without its content it would pass for another object
    forget(object);
    Description unreadable;
    unreadable.object = object;
    return write_description(out, unreadable);
  }
  Buffer content;
  Buffer hints;
  Out content_out(content);
  Out hints_out(hints);
  put(content_out, more, std::span(types).first(content_count));
  put(hints_out, more, std::span(types).first(shown_count).subspan(content_count));
  for (const CK_ATTRIBUTE_TYPE type : std::span(types).subspan(shown_count)) {
    const auto value = more[type];
    // A module may show a limit that is not set as a number that says so.
    description.counted |=
        !value.empty() && !std::ranges::all_of(value, [](std::uint8_t byte) { return byte == 0xff; });
  }
  description.content = content.bytes();
  description.hints = hints.bytes();
  description.proof = !more[CKA_MODULUS].empty() || !more[CKA_EC_POINT].empty() || !more[CKA_PUBLIC_KEY_INFO].empty() ||
                      (value_is_content && !more[CKA_VALUE].empty());
  write_description(out, description);
}

}  // namespace p11shim
