// The functions that are answered in the application's process.
#pragma once

#include "pkcs11/cryptoki.h"

namespace p11shim {

CK_RV initialize(CK_VOID_PTR pInitArgs) noexcept;
CK_RV finalize(CK_VOID_PTR pReserved) noexcept;
CK_RV get_info(CK_INFO_PTR pInfo) noexcept;
// `get_slot_list`: the application's own C_GetSlotList.
CK_RV wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved,
                          CK_C_GetSlotList get_slot_list) noexcept;

// §5.4: these three work before C_Initialize.
CK_RV get_function_list(CK_FUNCTION_LIST_PTR_PTR ppFunctionList) noexcept;
CK_RV get_interface_list(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount) noexcept;
CK_RV get_interface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
                    CK_FLAGS flags) noexcept;

}  // namespace p11shim
