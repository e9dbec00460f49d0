// Objects of the mock: who sees them, what may be read, and finding them.
#include <algorithm>
#include <cstring>

#include "module.h"

namespace p11shim {
namespace {

// CKR_OK is the weakest answer; the first error found stays, as in the standard ("any of").
void worsen(CK_RV& rv, CK_RV found) {
  if (rv == CKR_OK) rv = found;
}

CK_RV refuse_value(CK_ATTRIBUTE& attribute, CK_RV rv) {
  attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
  return rv;
}

CK_RV give_value(const Bytes& value, CK_ATTRIBUTE& attribute) {
  if (attribute.pValue == nullptr) {
    attribute.ulValueLen = value.size();
    return CKR_OK;
  }
  if (attribute.ulValueLen < value.size()) return refuse_value(attribute, CKR_BUFFER_TOO_SMALL);
  std::memcpy(attribute.pValue, value.data(), value.size());
  attribute.ulValueLen = value.size();
  return CKR_OK;
}

}  // namespace

bool MockModule::visible(const MockObject& object) const {
  if (rules_->objects_lost) return false;
  return !object.is(CKA_PRIVATE) || !rules_->login || users_[object.slot] == CKU_USER ||
         users_[object.slot] == rules_->user;
}

MockObject* MockModule::object(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle) {
  const MockSession* asking = session(session_handle);
  const auto found = objects_.find(handle - rules_->moved);
  if (asking == nullptr || found == objects_.end()) return nullptr;
  return found->second.slot == asking->slot && visible(found->second) ? &found->second : nullptr;
}

CK_OBJECT_HANDLE MockModule::add_object(CK_SESSION_HANDLE session_handle, Attributes attributes) {
  const CK_OBJECT_HANDLE handle = next_handle();
  MockObject& created = objects_[handle];
  created.slot = session(session_handle)->slot;
  created.attributes = std::move(attributes);
  created.session = created.is(CKA_TOKEN) ? 0 : session_handle;
  return handle + rules_->moved;
}

CK_RV MockModule::C_CopyObject(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE* attributes,
                               CK_ULONG count, CK_OBJECT_HANDLE* copy) {
  if (copy == nullptr || (attributes == nullptr && count > 0)) return CKR_ARGUMENTS_BAD;
  if (session(session_handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  const MockObject* original = object(session_handle, handle);
  if (original == nullptr) return CKR_OBJECT_HANDLE_INVALID;
  Attributes merged = to_attributes(attributes, count);
  merged.insert(original->attributes.begin(), original->attributes.end());
  *copy = add_object(session_handle, std::move(merged));
  return CKR_OK;
}

CK_RV MockModule::C_DestroyObject(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle) {
  if (session(session_handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  if (object(session_handle, handle) == nullptr) return CKR_OBJECT_HANDLE_INVALID;
  objects_.erase(handle - rules_->moved);
  return CKR_OK;
}

CK_RV MockModule::C_GetObjectSize(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle, CK_ULONG* size) {
  if (size == nullptr) return CKR_ARGUMENTS_BAD;
  if (session(session_handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  const MockObject* found = object(session_handle, handle);
  if (found == nullptr) return CKR_OBJECT_HANDLE_INVALID;
  *size = 0;
  for (const auto& [type, value] : found->attributes) *size += value.size();
  return CKR_OK;
}

CK_RV MockModule::read(const MockObject& object, CK_ATTRIBUTE& attribute) const {
  if (const auto rule = rules_->attributes.find(attribute.type); rule != rules_->attributes.end()) {
    switch (rule->second.kind) {
      case AttributeRule::Kind::kInvalid: return refuse_value(attribute, CKR_ATTRIBUTE_TYPE_INVALID);
      case AttributeRule::Kind::kSensitive: return refuse_value(attribute, CKR_ATTRIBUTE_SENSITIVE);
      case AttributeRule::Kind::kUnavailable: return refuse_value(attribute, CKR_OK);
      case AttributeRule::Kind::kValue: return give_value(rule->second.value, attribute);
    }
  }
  if (object.hides(attribute.type)) return refuse_value(attribute, CKR_ATTRIBUTE_SENSITIVE);
  const auto found = object.attributes.find(attribute.type);
  if (found == object.attributes.end()) return refuse_value(attribute, CKR_ATTRIBUTE_TYPE_INVALID);
  return give_value(found->second, attribute);
}

CK_RV MockModule::C_GetAttributeValue(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle,
                                      CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr) return CKR_ARGUMENTS_BAD;
  if (session(session_handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  const MockObject* found = object(session_handle, handle);
  if (found == nullptr) return CKR_OBJECT_HANDLE_INVALID;
  CK_RV rv = CKR_OK;
  for (CK_ULONG i = 0; i < count; ++i) worsen(rv, read(*found, attributes[i]));
  return rv;
}

CK_RV MockModule::C_SetAttributeValue(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE handle,
                                      CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr) return CKR_ARGUMENTS_BAD;
  if (session(session_handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  MockObject* found = object(session_handle, handle);
  if (found == nullptr) return CKR_OBJECT_HANDLE_INVALID;
  for (auto& [type, value] : to_attributes(attributes, count)) found->attributes[type] = value;
  return CKR_OK;
}

CK_RV MockModule::C_FindObjectsInit(CK_SESSION_HANDLE session_handle, CK_ATTRIBUTE* attributes, CK_ULONG count) {
  if (attributes == nullptr && count > 0) return CKR_ARGUMENTS_BAD;
  MockSession* searching = session(session_handle);
  if (searching == nullptr) return CKR_SESSION_HANDLE_INVALID;
  if (!searching->operations.insert("FindObjects").second) return CKR_OPERATION_ACTIVE;
  searching->found.clear();
  for (const auto& [handle, object] : objects_) {
    if (object.slot == searching->slot && visible(object) && object.matches(attributes, count)) {
      searching->found.push_back(handle + rules_->moved);
    }
  }
  return CKR_OK;
}

CK_RV MockModule::C_FindObjects(CK_SESSION_HANDLE session_handle, CK_OBJECT_HANDLE* objects, CK_ULONG capacity,
                                CK_ULONG* count) {
  if (objects == nullptr || count == nullptr) return CKR_ARGUMENTS_BAD;
  MockSession* searching = session(session_handle);
  if (searching == nullptr) return CKR_SESSION_HANDLE_INVALID;
  if (!searching->operations.contains("FindObjects")) return CKR_OPERATION_NOT_INITIALIZED;
  auto& found = searching->found;
  *count = std::min<CK_ULONG>(capacity, found.size());
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(*count);
  std::copy(found.begin(), end, objects);
  found.erase(found.begin(), end);
  return CKR_OK;
}

CK_RV MockModule::C_FindObjectsFinal(CK_SESSION_HANDLE session_handle) {
  MockSession* searching = session(session_handle);
  if (searching == nullptr) return CKR_SESSION_HANDLE_INVALID;
  return searching->operations.erase("FindObjects") == 1 ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
}

}  // namespace p11shim
