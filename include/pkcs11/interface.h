// The function list of 3.x that a module offers by C_GetInterface (3.0 §5.4). That of 3.0 is where all later ones begin, but
// a module asked for one version gives exactly that.
#pragma once

#include "pkcs11/cryptoki.h"

namespace p11shim {

// With no version: the list that the module prefers, which may be of 2.40.
inline CK_FUNCTION_LIST_3_0* ask_for_list(CK_C_GetInterface get_interface, CK_VERSION* version) {
  CK_UTF8CHAR name[] = "PKCS 11";
  CK_INTERFACE* found = nullptr;
  if (get_interface(name, version, &found, 0) != CKR_OK || found == nullptr || found->pFunctionList == nullptr)
    return nullptr;
  auto* list = static_cast<CK_FUNCTION_LIST_3_0*>(found->pFunctionList);
  return list->version.major == 3 ? list : nullptr;
}

// NULL: it offers none, or has no C_GetInterface.
inline CK_FUNCTION_LIST_3_0* find_list_3_0(CK_C_GetInterface get_interface) {
  if (get_interface == nullptr) return nullptr;
  for (CK_VERSION version : {CK_VERSION{3, 0}, CK_VERSION{3, 1}, CK_VERSION{3, 2}})
    if (auto* list = ask_for_list(get_interface, &version)) return list;
  return ask_for_list(get_interface, nullptr);
}

}  // namespace p11shim
