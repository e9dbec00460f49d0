#include "tools/shimctl/commands/key/show.h"

#include <algorithm>
#include <map>

#include "pkcs11/attributes.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/member_token.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

const std::vector<CK_OBJECT_CLASS> kAllClasses{CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE,
                                               CKO_DATA};

struct WholeObject {
  ObjectAttributes attributes;
  std::vector<CK_ATTRIBUTE_TYPE> sensitive;
};

// CKA_VALUE is content where it is no key's material.
bool is_content(CK_OBJECT_CLASS object_class) {
  return object_class == CKO_CERTIFICATE || object_class == CKO_PUBLIC_KEY;
}

// Secrets are asked for their lengths alone, to learn which of them the token keeps to itself.
WholeObject read_whole(const Session& session, CK_OBJECT_HANDLE object) {
  std::vector<CK_ATTRIBUTE_TYPE> open;
  std::vector<CK_ATTRIBUTE_TYPE> secret;
  for (const Attribute& attribute : kAttributes) {
    if (attribute.kind == AttributeKind::attribute_template) continue;
    (is_secret_attribute(attribute.type) ? secret : open).push_back(attribute.type);
  }
  WholeObject whole{.attributes = session.read(object, open), .sensitive = {}};
  if (is_content(whole.attributes.number(CKA_CLASS).value_or(CKO_VENDOR_DEFINED))) {
    std::string value;
    if (session.read_one(object, CKA_VALUE, value) == CKR_OK) whole.attributes.set(CKA_VALUE, value);
    return whole;
  }
  for (const auto type : secret) {
    CK_ATTRIBUTE attribute{type, nullptr, 0};
    const CK_RV rv = session.module()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
    if (rv == CKR_ATTRIBUTE_SENSITIVE) whole.sensitive.push_back(type);
  }
  return whole;
}

Value provenance(const ObjectAttributes& attributes) {
  const auto local = attributes.truth(CKA_LOCAL);
  const auto always = attributes.is(CKA_ALWAYS_SENSITIVE);
  const auto never = attributes.is(CKA_NEVER_EXTRACTABLE);
  const auto mechanism = attributes.number(CKA_KEY_GEN_MECHANISM);
  Value origin;
  origin.set("made_on_token", local ? Value(*local) : Value());
  origin.set("mechanism", local.value_or(false) && mechanism && *mechanism != CK_UNAVAILABLE_INFORMATION
                              ? Value(display(NameKind::ckm, *mechanism))
                              : Value());
  origin.set("never_left_the_token", local.value_or(false) && always && never);
  return origin;
}

Value attributes_value(const ObjectAttributes& attributes) {
  Value all = Value::Record{};
  for (const auto& [type, bytes] : attributes.all()) all.set(attribute_name(type), attribute_value(type, bytes));
  return all;
}

enum class Severity : std::uint8_t { kNone, kInfo, kWarning, kCritical };

const char* severity_name(Severity severity) {
  switch (severity) {
    case Severity::kCritical: return "critical";
    case Severity::kWarning: return "warning";
    default: return "info";
  }
}

// What it means that two keys differ there: they are not the same key; one is less protected or may do other
// things; people call it otherwise.
Severity severity_of(CK_ATTRIBUTE_TYPE type) {
  switch (type) {
    case CKA_LABEL:
    case CKA_ID:
    case CKA_UNIQUE_ID:
    case CKA_START_DATE:
    case CKA_END_DATE:
    case CKA_SUBJECT:
    case CKA_LOCAL:
    case CKA_KEY_GEN_MECHANISM:
    case CKA_APPLICATION: return Severity::kInfo;
    case CKA_CLASS:
    case CKA_KEY_TYPE:
    case CKA_MODULUS:
    case CKA_MODULUS_BITS:
    case CKA_PUBLIC_EXPONENT:
    case CKA_EC_PARAMS:
    case CKA_EC_POINT:
    case CKA_PUBLIC_KEY_INFO:
    case CKA_VALUE:
    case CKA_VALUE_LEN:
    case CKA_CHECK_VALUE: return Severity::kCritical;
    default: return Severity::kWarning;
  }
}

void compare(Report& report, Severity& worst, const ObjectAttributes& left, const ObjectAttributes& right) {
  std::map<CK_ATTRIBUTE_TYPE, std::pair<Value, Value>> both;
  for (const auto& [type, bytes] : left.all()) both[type].first = attribute_value(type, bytes);
  for (const auto& [type, bytes] : right.all()) both[type].second = attribute_value(type, bytes);
  for (auto& [type, values] : both) {
    if (left.bytes(type) == right.bytes(type)) continue;
    const Severity severity = severity_of(type);
    worst = std::max(worst, severity);
    Value row;
    row.set("severity", severity_name(severity)).set("attribute", attribute_name(type));
    row.set("left", std::move(values.first)).set("right", std::move(values.second));
    report.rows.push_back(std::move(row));
  }
}

std::string fingerprint(const Session& session, CK_OBJECT_HANDLE object) {
  const auto key = public_key_of(session, object);
  return key ? hex(sha256_of(spki_of(key))) : "";
}

}  // namespace

ExitCode show_key(const Invocation& invocation, const ShowOptions& options) {
  TokenAccess access(invocation);
  const auto selector = KeySelector::parse(options.key, options.object_class);
  const Session& session = access.session(Session::Access::kReadOnly);
  const CK_OBJECT_HANDLE object = find_one(session, selector, kAllClasses);
  const WholeObject whole = read_whole(session, object);
  Report report{.name = "key.show", .data = key_row(object, whole.attributes)};
  const auto print = fingerprint(session, object);
  report.data.set("spki_sha256", print.empty() ? Value() : Value(print));
  report.data.set("provenance", provenance(whole.attributes));
  report.data.set("attributes", attributes_value(whole.attributes));
  Value hidden = Value::List{};
  for (const auto type : whole.sensitive) hidden.push_back(attribute_name(type));
  report.data.set("sensitive_attributes", std::move(hidden));
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode diff_keys(const Invocation& invocation, const DiffOptions& options) {
  TokenAccess access(invocation);
  const Session& left_session = access.session(Session::Access::kReadOnly);
  std::optional<TokenAccess> other;
  Invocation direct = invocation;
  if (!options.member.empty()) {
    direct.token = member_token(invocation, options.member);
    if (!options.right_token.pin_from.empty()) direct.token.pin_from = options.right_token.pin_from;
    other.emplace(direct);
  }
  if (!options.right_token.token.empty() || options.right_token.slot) {
    TokenChoice choice = invocation.token;
    choice.uri.clear();
    choice.token = options.right_token.token;
    choice.slot = options.right_token.slot;
    if (!options.right_token.pin_from.empty()) choice.pin_from = options.right_token.pin_from;
    other.emplace(invocation, std::move(choice), access.module());
  }
  const Session& right_session = other ? other->session(Session::Access::kReadOnly) : left_session;
  const auto left = find_one(left_session, KeySelector::parse(options.left, options.object_class), kAllClasses);
  const std::string right_key = options.right.empty() ? options.left : options.right;
  auto right_selector = KeySelector::parse(right_key, options.object_class);
  if (options.right.empty()) right_selector.uri.reset();  // names the left one's token
  const auto right = find_one(right_session, right_selector, kAllClasses);
  Report report{
      .name = "key.diff",
      .rows_key = "differences",
      .columns = {{"SEVERITY", "severity"}, {"ATTRIBUTE", "attribute"}, {"LEFT", "left"}, {"RIGHT", "right"}}};
  Severity worst = Severity::kNone;
  compare(report, worst, read_whole(left_session, left).attributes, read_whole(right_session, right).attributes);
  const auto left_print = fingerprint(left_session, left);
  const auto right_print = fingerprint(right_session, right);
  const bool known = !left_print.empty() && !right_print.empty();
  if (known && left_print != right_print) worst = Severity::kCritical;
  report.data.set("same_public_key", known ? Value(left_print == right_print) : Value());
  report.data.set("worst", worst == Severity::kNone ? Value() : Value(severity_name(worst)));
  present(invocation, report);
  return worst > Severity::kInfo ? ExitCode::kNegative : ExitCode::kOk;
}

}  // namespace p11shim
