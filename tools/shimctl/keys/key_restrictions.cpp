#include "tools/shimctl/keys/key_restrictions.h"

#include <algorithm>

#include "tools/shimctl/keys/attribute_text.h"

namespace p11shim {

namespace {

// Templates for other keys: their values lie in memory of the reader.
constexpr std::array<CK_ATTRIBUTE_TYPE, 3> kTemplates{CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE};

constexpr std::array<CK_ATTRIBUTE_TYPE, 9> kUses{CKA_ENCRYPT,        CKA_DECRYPT,      CKA_SIGN,
                                                 CKA_VERIFY,         CKA_SIGN_RECOVER, CKA_WRAP,
                                                 CKA_VERIFY_RECOVER, CKA_UNWRAP,       CKA_DERIVE};

bool says(const std::string& value, bool truth) { return value == std::string(1, truth ? CK_TRUE : CK_FALSE); }

}  // namespace

std::string lost_restrictions(const Session& session, CK_OBJECT_HANDLE object, const Template& wanted) {
  std::string lost;
  for (const auto& entry : wanted.entries()) {
    const auto* found = std::find_if(kKeyRestrictions.begin(), kKeyRestrictions.end(),
                                     [&](const KeyRestriction& each) { return each.type == entry.type; });
    const bool use = std::find(kUses.begin(), kUses.end(), entry.type) != kUses.end();
    const bool list = entry.type == CKA_ALLOWED_MECHANISMS && !entry.value.empty();
    const bool restricts = (found != kKeyRestrictions.end() && says(entry.value, !found->without)) ||
                           (use && says(entry.value, false)) || list;
    if (!restricts) continue;
    std::string value;
    const CK_RV rv = session.read_one(object, entry.type, value);
    // A use that the object's class does not know is none.
    if (rv == CKR_OK ? value == entry.value : use) continue;
    lost += (lost.empty() ? "" : ", ") + attribute_name(entry.type);
  }
  return lost;
}

std::string unrepeatable(const Session& session, CK_OBJECT_HANDLE object) {
  for (const auto type : kTemplates) {
    CK_ATTRIBUTE attribute{type, nullptr, 0};
    const CK_RV rv = session.module()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
    if (rv == CKR_OK && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION && attribute.ulValueLen > 0)
      return "it has a " + attribute_name(type);
  }
  return {};
}

}  // namespace p11shim
