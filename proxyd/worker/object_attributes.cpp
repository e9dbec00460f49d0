#include "proxyd/worker/object_attributes.h"

#include "wire/limits.h"

namespace p11shim {
namespace {

constexpr CK_ULONG kFirstTry = 1024;  // bytes; most attributes fit, larger ones are read again

// NSS gives a number only into a buffer of exactly its size.
CK_ULONG room_for(CK_ATTRIBUTE_TYPE type) {
  switch (attribute_kind(type)) {
    case AttributeKind::ulong: return sizeof(CK_ULONG);
    case AttributeKind::boolean: return sizeof(CK_BBOOL);
    default: return kFirstTry;
  }
}

bool answers_all(CK_RV rv) {
  return rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
         rv == CKR_BUFFER_TOO_SMALL;
}

// Says nothing of the attribute: the object, the session or the module is in no state to be asked.
bool is_lost(CK_RV rv) {
  switch (rv) {
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_DEVICE_MEMORY:
    case CKR_HOST_MEMORY:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_CRYPTOKI_NOT_INITIALIZED: return true;
    default: return false;
  }
}

}  // namespace

ObjectAttributes::ObjectAttributes(std::span<const CK_ATTRIBUTE_TYPE> types) : memory_(types.size() * kFirstTry) {
  for (std::size_t i = 0; i < types.size(); ++i)
    query_.push_back({types[i], memory_.data() + i * kFirstTry, room_for(types[i])});
}

ObjectAttributes::~ObjectAttributes() {
  wipe(memory_.data(), memory_.size());
  for (auto& value : long_) wipe(value.data(), value.size());
}

bool ObjectAttributes::read(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  const bool was_read = read_all(module, session, object);
  if (!was_read) query_.clear();
  return was_read;
}

bool ObjectAttributes::read_all(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session,
                                CK_OBJECT_HANDLE object) {
  const CK_RV rv = module.C_GetAttributeValue(session, object, query_.data(), query_.size());
  if (rv == CKR_OK) return true;
  if (is_lost(rv)) return false;
  const bool by_number = answers_all(rv) && rv != CKR_BUFFER_TOO_SMALL;
  return by_number ? read_numbers(module, session, object) : read_each(module, session, object);
}

std::span<const std::uint8_t> ObjectAttributes::operator[](CK_ATTRIBUTE_TYPE type) const {
  for (const CK_ATTRIBUTE& attribute : query_)
    if (attribute.type == type && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION)
      return {static_cast<const std::uint8_t*>(attribute.pValue), attribute.ulValueLen};
  return {};
}

// NSS hides all numbers of an object when any attribute of the query does not exist: those are asked for alone.
bool ObjectAttributes::read_numbers(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session,
                                    CK_OBJECT_HANDLE object) {
  for (CK_ATTRIBUTE& attribute : query_) {
    if (attribute_kind(attribute.type) != AttributeKind::ulong || attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION)
      continue;
    CK_ATTRIBUTE one{attribute.type, attribute.pValue, sizeof(CK_ULONG)};
    const CK_RV rv = module.C_GetAttributeValue(session, object, &one, 1);
    if (is_lost(rv)) return false;
    if (rv == CKR_OK) attribute = one;
  }
  return true;
}

// Asks for each alone, and for its length first: a module may stop at the first buffer that was too small, or refuse all for
// one that it does not know.
bool ObjectAttributes::read_each(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session,
                                 CK_OBJECT_HANDLE object) {
  bool any_answer = false;
  for (CK_ATTRIBUTE& attribute : query_) {
    CK_ATTRIBUTE one{attribute.type, nullptr, 0};
    CK_RV rv = module.C_GetAttributeValue(session, object, &one, 1);
    if (is_lost(rv)) return false;
    any_answer |= answers_all(rv);
    attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    if (rv != CKR_OK || one.ulValueLen > limits::kMaxAttributeCapacity) continue;
    auto& place = long_.emplace_back(one.ulValueLen);
    one.pValue = place.data();
    rv = module.C_GetAttributeValue(session, object, &one, 1);
    if (is_lost(rv)) return false;
    if (rv == CKR_OK) attribute = one;
  }
  return any_answer;
}

}  // namespace p11shim
