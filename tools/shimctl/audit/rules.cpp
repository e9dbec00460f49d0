#include "tools/shimctl/audit/rules.h"

#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

constexpr CK_ULONG kRsaBits = 2048, kSecretBits = 112;
constexpr int kCurveBits = 224;
constexpr unsigned long kExponent = 65537;

class KeyAudit {
 public:
  KeyAudit(const std::vector<AuditedObject>& objects, const AuditTime& time, std::vector<KeyFinding>& findings)
      : objects_(objects), time_(time), findings_(findings) {
    extractable_ = std::count_if(objects.begin(), objects.end(), [](const AuditedObject& object) {
      return object.is_secret() && object.attributes.is(CKA_EXTRACTABLE);
    });
  }

  void run() {
    for (const AuditedObject& object : objects_) {
      object_ = &object;
      if (object.object_class == CKO_PRIVATE_KEY || object.object_class == CKO_SECRET_KEY) {
        strength();
        protection();
        usage();
      }
    }
    order();
  }

 private:
  bool is(CK_ATTRIBUTE_TYPE type) const { return object_->attributes.is(type); }
  void find(const char* rule, const std::string& detail, const char* severity = "") {
    findings_.push_back({.rule = rule, .object = object_, .detail = detail, .severity = severity});
  }

  void strength() {
    const auto size = key_size(object_->attributes);
    const auto* bits = size.get_if<std::uint64_t>();
    switch (object_->type) {
      case CKK_RSA: return rsa(bits == nullptr ? 0 : *bits);
      case CKK_EC: return curve();
      case CKK_DES:
      case CKK_RC2:
      case CKK_RC4:
      case CKK_CAST:
      case CKK_CAST3:
      case CKK_CAST128:
      case CKK_DSA: return find("weak-algorithm", key_type_name(object_->type));
      case CKK_DES2:
      case CKK_DES3: return find("triple-des", key_type_name(object_->type));
      default:
        if (object_->object_class == CKO_SECRET_KEY && bits != nullptr && *bits < kSecretBits)
          find("secret-too-short", std::to_string(*bits) + " bits");
    }
  }

  void rsa(std::uint64_t bits) {
    if (bits != 0 && bits < kRsaBits)
      find("rsa-too-short", std::to_string(bits) + " bits", bits < 1024 ? "critical" : "");
    const auto exponent = object_->attributes.bytes(CKA_PUBLIC_EXPONENT).value_or("");
    unsigned long value = 0;
    for (const char byte : exponent)
      value = value > kExponent ? value : (value << 8 | static_cast<unsigned char>(byte));
    if (!exponent.empty() && value < kExponent) find("rsa-exponent", "exponent " + std::to_string(value));
  }

  void curve() {
    const auto params = object_->attributes.bytes(CKA_EC_PARAMS).value_or("");
    const int nid = curve_nid(params);
    const std::unique_ptr<EC_GROUP, void (*)(EC_GROUP*)> group(nid == 0 ? nullptr : EC_GROUP_new_by_curve_name(nid),
                                                               EC_GROUP_free);
    if (group != nullptr && EC_GROUP_order_bits(group.get()) < kCurveBits)
      find("weak-curve", curve_name(params) + ", " + std::to_string(EC_GROUP_order_bits(group.get())) + " bits");
  }

  void protection() {
    const auto sensitive = object_->attributes.truth(CKA_SENSITIVE);
    const auto extractable = object_->attributes.truth(CKA_EXTRACTABLE);
    const auto never = object_->attributes.truth(CKA_NEVER_EXTRACTABLE);
    const auto locked = object_->attributes.truth(CKA_PRIVATE);
    if (extractable == true && sensitive == false) find("not-sensitive", "its value can be read");
    else if (extractable == true)
      find("extractable", is(CKA_WRAP_WITH_TRUSTED) ? "by trusted keys" : "by any key that wraps",
           is(CKA_WRAP_WITH_TRUSTED) ? "info" : "");
    else if (never == false) find("was-extractable", is(CKA_LOCAL) ? "was extractable once" : "was made elsewhere");
    if (locked == false) find("not-private", "used without a login");
  }

  void usage() {
    if (is(CKA_WRAP) && is(CKA_DECRYPT)) {
      const auto others = extractable_ - (is(CKA_EXTRACTABLE) ? 1 : 0);
      find("wraps-and-decrypts",
           others > 0 ? "and " + std::to_string(others) + " other keys are extractable"
                      : "nothing else is extractable now",
           others > 0 ? "critical" : "");
    }
    if (object_->object_class == CKO_PRIVATE_KEY && is(CKA_SIGN) && (is(CKA_DECRYPT) || is(CKA_UNWRAP)))
      find("signs-and-decrypts", is(CKA_DECRYPT) ? "sign, decrypt" : "sign, unwrap");
    const std::string end = object_->attributes.text(CKA_END_DATE);
    // A module that cannot read its own dates (SoftHSM, of private objects) says nothing, not "none".
    const bool endless = object_->attributes.has(CKA_END_DATE) && end.empty();
    if (endless && object_->attributes.text(CKA_ALLOWED_MECHANISMS).empty())
      find("no-limits", "neither mechanisms nor an end date");
    std::array<char, 9> today{};
    std::tm date{};
    ::gmtime_r(&time_.now, &date);
    std::strftime(today.data(), today.size(), "%Y%m%d", &date);
    if (end.size() == 8 && end < today.data())
      find("key-expired", end.substr(0, 4) + "-" + end.substr(4, 2) + "-" + end.substr(6));
  }

  // Each object of a group but its first is a finding, which names the first.
  void order() {
    std::map<std::string, const AuditedObject*> keys, labels, ids;
    for (const AuditedObject& object : objects_) {
      object_ = &object;
      if (object.object_class == CKO_CERTIFICATE) continue;
      const std::string of_class = class_name(object.object_class) + " ";
      if (object.object_class == CKO_PRIVATE_KEY && !object.public_key.empty())
        if (const auto [first, fresh] = keys.emplace(object.public_key, &object); !fresh)
          find("duplicate-key", "the same key as " + first->second->identity);
      if (!object.label().empty())
        if (const auto [first, fresh] = labels.emplace(of_class + object.label(), &object); !fresh)
          find("ambiguous-label", "also " + first->second->identity);
      if (!object.id().empty())
        if (const auto [first, fresh] = ids.emplace(of_class + object.id(), &object);
            !fresh && (object.public_key.empty() || first->second->public_key != object.public_key))
          find("ambiguous-id", "also " + first->second->identity);
    }
  }

  const std::vector<AuditedObject>& objects_;
  const AuditTime& time_;
  std::vector<KeyFinding>& findings_;
  const AuditedObject* object_ = nullptr;
  std::ptrdiff_t extractable_ = 0;
};

}  // namespace

std::vector<KeyFinding> audit_keys(const std::vector<AuditedObject>& objects, const AuditTime& time) {
  std::vector<KeyFinding> findings;
  KeyAudit(objects, time, findings).run();
  audit_certificates(objects, time, findings);
  return findings;
}

}  // namespace p11shim
