#include "proxyd/worker/read_out.h"

#include <array>

#include "proxyd/worker/object_attributes.h"

namespace p11shim {
namespace {

// What C_CreateObject takes and what decides how the object may be used; how it came about is not among it.
constexpr std::array kCopied = std::to_array<CK_ATTRIBUTE_TYPE>({CKA_CLASS,
                                                                 CKA_PRIVATE,
                                                                 CKA_LABEL,
                                                                 CKA_ID,
                                                                 CKA_KEY_TYPE,
                                                                 CKA_START_DATE,
                                                                 CKA_END_DATE,
                                                                 CKA_SUBJECT,
                                                                 CKA_ISSUER,
                                                                 CKA_SERIAL_NUMBER,
                                                                 CKA_CERTIFICATE_TYPE,
                                                                 CKA_APPLICATION,
                                                                 CKA_OBJECT_ID,
                                                                 CKA_SENSITIVE,
                                                                 CKA_EXTRACTABLE,
                                                                 CKA_ENCRYPT,
                                                                 CKA_DECRYPT,
                                                                 CKA_SIGN,
                                                                 CKA_SIGN_RECOVER,
                                                                 CKA_VERIFY,
                                                                 CKA_VERIFY_RECOVER,
                                                                 CKA_WRAP,
                                                                 CKA_UNWRAP,
                                                                 CKA_DERIVE,
                                                                 CKA_WRAP_WITH_TRUSTED,
                                                                 CKA_ALLOWED_MECHANISMS,
                                                                 CKA_VALUE,
                                                                 CKA_MODULUS,
                                                                 CKA_PUBLIC_EXPONENT,
                                                                 CKA_PRIVATE_EXPONENT,
                                                                 CKA_PRIME_1,
                                                                 CKA_PRIME_2,
                                                                 CKA_EXPONENT_1,
                                                                 CKA_EXPONENT_2,
                                                                 CKA_COEFFICIENT,
                                                                 CKA_PRIME,
                                                                 CKA_SUBPRIME,
                                                                 CKA_BASE,
                                                                 CKA_EC_PARAMS,
                                                                 CKA_EC_POINT});
constexpr std::array kRestrictions =
    std::to_array<CK_ATTRIBUTE_TYPE>({CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE});
constexpr std::array kPrivileges = std::to_array<CK_ATTRIBUTE_TYPE>({CKA_TRUSTED, CKA_ALWAYS_AUTHENTICATE});

bool is_set(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
            CK_ATTRIBUTE_TYPE type) {
  CK_BBOOL value = CK_FALSE;
  CK_ATTRIBUTE flag{type, &value, sizeof value};
  return module.C_GetAttributeValue(session, object, &flag, 1) == CKR_OK && value != CK_FALSE;
}

bool has_content(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                 CK_ATTRIBUTE_TYPE type) {
  CK_ATTRIBUTE query{type, nullptr, 0};
  return module.C_GetAttributeValue(session, object, &query, 1) == CKR_OK && query.ulValueLen != 0 &&
         query.ulValueLen != CK_UNAVAILABLE_INFORMATION;
}

// Modules hide what is sensitive, and nothing else.
bool shows_its_value(CK_OBJECT_CLASS object_class, const ObjectAttributes& attributes) {
  if (object_class == CKO_SECRET_KEY) return !attributes[CKA_VALUE].empty();
  if (object_class == CKO_PRIVATE_KEY)
    return !attributes[CKA_VALUE].empty() || !attributes[CKA_PRIVATE_EXPONENT].empty();
  return true;
}

}  // namespace

CK_RV read_out(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, Out& out) {
  ObjectAttributes attributes(kCopied);
  attributes.read(module, session, object);
  CK_OBJECT_CLASS object_class = 0;
  if (!attributes.number(CKA_CLASS, object_class)) return CKR_OBJECT_HANDLE_INVALID;
  if (!shows_its_value(object_class, attributes)) return CKR_KEY_UNEXTRACTABLE;
  for (const CK_ATTRIBUTE_TYPE type : kRestrictions)
    if (has_content(module, session, object, type)) return CKR_KEY_UNEXTRACTABLE;
  for (const CK_ATTRIBUTE_TYPE type : kPrivileges)
    if (is_set(module, session, object, type)) return CKR_KEY_UNEXTRACTABLE;

  CK_BBOOL is_token = CK_FALSE;
  std::vector<CK_ATTRIBUTE> copied{{CKA_TOKEN, &is_token, sizeof is_token}};
  for (const CK_ATTRIBUTE_TYPE type : kCopied)
    if (const auto value = attributes[type]; !value.empty())
      copied.push_back({type, const_cast<std::uint8_t*>(value.data()), value.size()});
  out.mark_secret();
  encode_template(out, copied.data(), copied.size());
  return CKR_OK;
}

}  // namespace p11shim
