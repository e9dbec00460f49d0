// The one place that includes the packaged PKCS#11 header (3.0, OASIS-derived, from libnss3-dev), and adds
// what it lacks of 3.0, 3.1 and 3.2. Nothing here depends on the rest of the project.
#pragma once

#include <pkcs11.h>

#include <cstdint>

// Without NSS's compatibility macro, CK_GCM_PARAMS is the layout of the standard's header (with ulIvBits);
// the layout of the 2.40 document, which lacks it, is CK_NSS_GCM_PARAMS. A mechanism's ulParameterLen tells
// the two apart.
static_assert(sizeof(CK_GCM_PARAMS) == 6 * sizeof(CK_ULONG) && sizeof(CK_NSS_GCM_PARAMS) == 5 * sizeof(CK_ULONG));

// The standard's CK_C_INITIALIZE_ARGS. NSS's has one field more (LibraryParameters sits where pReserved
// belongs, and pReserved follows), so an application's argument must never be read through the packaged type.
struct CK_STANDARD_INITIALIZE_ARGS {  // NOLINT(readability-identifier-naming): beside the standard's
  CK_CREATEMUTEX CreateMutex;
  CK_DESTROYMUTEX DestroyMutex;
  CK_LOCKMUTEX LockMutex;
  CK_UNLOCKMUTEX UnlockMutex;
  CK_FLAGS flags;
  CK_VOID_PTR pReserved;
};
static_assert(sizeof(CK_C_INITIALIZE_ARGS) == sizeof(CK_STANDARD_INITIALIZE_ARGS) + sizeof(CK_VOID_PTR));

#if CRYPTOKI_VERSION_MAJOR == 3 && CRYPTOKI_VERSION_MINOR < 2
#include "pkcs11/cryptoki_3_2.h"
#endif
