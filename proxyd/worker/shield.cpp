#include "proxyd/worker/shield.h"

#include <algorithm>
#include <vector>

namespace p11shim {
namespace {

// The module's own functions. A C function pointer has no room for an object, hence the global.
CK_FUNCTION_LIST_3_0 bare{};

constexpr CK_ULONG kSpareItems = 64;  // what may be added between the two calls

template <class Ask>
CK_RV careful_list(CK_ULONG_PTR items, CK_ULONG_PTR count, Ask ask) {
  if (items == nullptr) return ask(nullptr, count);
  CK_ULONG needed = 0;
  if (const CK_RV rv = ask(nullptr, &needed); rv != CKR_OK) return rv;
  std::vector<CK_ULONG> all(needed + kSpareItems);
  CK_ULONG given = all.size();
  if (const CK_RV rv = ask(all.data(), &given); rv != CKR_OK) return rv;
  const bool fits = given <= *count;
  *count = given;
  if (!fits) return CKR_BUFFER_TOO_SMALL;
  std::copy_n(all.begin(), given, items);
  return CKR_OK;
}

CK_RV careful_slot_list(CK_BBOOL token_present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count) {
  return careful_list(slots, count, [=](CK_ULONG_PTR items, CK_ULONG_PTR number) {
    return bare.C_GetSlotList(token_present, items, number);
  });
}

CK_RV careful_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR mechanisms, CK_ULONG_PTR count) {
  return careful_list(mechanisms, count, [=](CK_ULONG_PTR items, CK_ULONG_PTR number) {
    return bare.C_GetMechanismList(slot, items, number);
  });
}

// Asks for the lengths, then reads those attributes that fit.
CK_RV careful_get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
                                  CK_ULONG count) {
  if (attributes == nullptr || count == 0) return bare.C_GetAttributeValue(session, object, attributes, count);
  std::vector<CK_ATTRIBUTE> fitting(attributes, attributes + count);
  for (CK_ATTRIBUTE& attribute : fitting) attribute.pValue = nullptr;
  const CK_RV asked = bare.C_GetAttributeValue(session, object, fitting.data(), count);
  if (asked != CKR_OK && asked != CKR_ATTRIBUTE_SENSITIVE && asked != CKR_ATTRIBUTE_TYPE_INVALID) return asked;

  bool too_small = false;
  for (CK_ULONG i = 0; i < count; ++i) {
    const bool known = fitting[i].ulValueLen != CK_UNAVAILABLE_INFORMATION;
    if (attributes[i].pValue == nullptr || !known) continue;
    if (fitting[i].ulValueLen <= attributes[i].ulValueLen) fitting[i] = attributes[i];
    else too_small = true;
  }
  CK_RV rv = bare.C_GetAttributeValue(session, object, fitting.data(), count);
  for (CK_ULONG i = 0; i < count; ++i) {
    const bool was_too_small = attributes[i].pValue != nullptr && fitting[i].pValue == nullptr;
    attributes[i].ulValueLen = was_too_small ? CK_UNAVAILABLE_INFORMATION : fitting[i].ulValueLen;
  }
  if (rv == CKR_OK && too_small) rv = CKR_BUFFER_TOO_SMALL;
  return rv;
}

CK_RV careful_find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG room, CK_ULONG_PTR count) {
  CK_OBJECT_HANDLE spare = CK_INVALID_HANDLE;
  return room == 0 ? bare.C_FindObjects(session, &spare, 0, count) : bare.C_FindObjects(session, objects, room, count);
}

bool ignores_room(const CK_FUNCTION_LIST_3_0& functions) {
  CK_ULONG needed = 0;
  if (functions.C_GetSlotList(CK_FALSE, nullptr, &needed) != CKR_OK || needed == 0) return false;
  std::vector<CK_SLOT_ID> slots(needed + kSpareItems);
  CK_ULONG none = 0;
  return functions.C_GetSlotList(CK_FALSE, slots.data(), &none) == CKR_OK;
}

}  // namespace

void shield(CK_FUNCTION_LIST_3_0& functions) {
  if (!ignores_room(functions)) return;
  bare = functions;
  functions.C_GetSlotList = &careful_slot_list;
  if (bare.C_GetMechanismList != nullptr) functions.C_GetMechanismList = &careful_mechanism_list;
  functions.C_GetAttributeValue = &careful_get_attribute_value;
  functions.C_FindObjects = &careful_find_objects;
}

}  // namespace p11shim
