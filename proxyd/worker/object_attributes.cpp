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

}  // namespace

ObjectAttributes::ObjectAttributes(std::span<const CK_ATTRIBUTE_TYPE> types) : memory_(types.size() * kFirstTry) {
  for (std::size_t i = 0; i < types.size(); ++i)
    query_.push_back({types[i], memory_.data() + i * kFirstTry, room_for(types[i])});
}

ObjectAttributes::~ObjectAttributes() {
  wipe(memory_.data(), memory_.size());
  for (auto& value : long_) wipe(value.data(), value.size());
}

void ObjectAttributes::read(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  const CK_RV rv = module.C_GetAttributeValue(session, object, query_.data(), query_.size());
  if (!answers_all(rv)) return void(query_.clear());
  if (rv == CKR_BUFFER_TOO_SMALL) read_long(module, session, object);
  else if (rv != CKR_OK) read_numbers(module, session, object);
}

std::span<const std::uint8_t> ObjectAttributes::operator[](CK_ATTRIBUTE_TYPE type) const {
  for (const CK_ATTRIBUTE& attribute : query_)
    if (attribute.type == type && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION)
      return {static_cast<const std::uint8_t*>(attribute.pValue), attribute.ulValueLen};
  return {};
}

// NSS hides all numbers of an object when any attribute of the query does not exist: those are asked for alone.
void ObjectAttributes::read_numbers(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session,
                                    CK_OBJECT_HANDLE object) {
  for (CK_ATTRIBUTE& attribute : query_) {
    if (attribute_kind(attribute.type) != AttributeKind::ulong || attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION)
      continue;
    CK_ATTRIBUTE one{attribute.type, attribute.pValue, sizeof(CK_ULONG)};
    if (module.C_GetAttributeValue(session, object, &one, 1) == CKR_OK) attribute = one;
  }
}

// Asks for each length alone, since a module may stop counting at the first buffer that was too small.
void ObjectAttributes::read_long(const CK_FUNCTION_LIST_3_0& module, CK_SESSION_HANDLE session,
                                 CK_OBJECT_HANDLE object) {
  for (CK_ATTRIBUTE& attribute : query_) {
    CK_ATTRIBUTE one{attribute.type, nullptr, 0};
    if (module.C_GetAttributeValue(session, object, &one, 1) != CKR_OK ||
        one.ulValueLen > limits::kMaxAttributeCapacity) {
      attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
      continue;
    }
    auto& place = long_.emplace_back(one.ulValueLen);
    one.pValue = place.data();
    if (module.C_GetAttributeValue(session, object, &one, 1) != CKR_OK) one.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    attribute = one;
  }
}

}  // namespace p11shim
