// NSS softokn as a module that any client can load: C_Initialize passes softokn the parameters it insists on,
// taken from P11TEST_NSS_PARAMETERS. Everything else is softokn's own functions, so this is "the module
// directly".
#include "pkcs11/cryptoki.h"

#include <dlfcn.h>
#include <cstdlib>

namespace {

CK_FUNCTION_LIST functions;
CK_FUNCTION_LIST_3_0 functions30;
CK_INTERFACE interface {};
CK_FUNCTION_LIST_PTR softokn;

// The client's mutex functions and flags are passed on; softokn reads LibraryParameters where the standard
// has pReserved.
CK_RV initialize(CK_VOID_PTR pInitArgs) {
  CK_C_INITIALIZE_ARGS arguments{};
  if (const auto* given = static_cast<const CK_STANDARD_INITIALIZE_ARGS*>(pInitArgs)) {
    arguments.CreateMutex = given->CreateMutex;
    arguments.DestroyMutex = given->DestroyMutex;
    arguments.LockMutex = given->LockMutex;
    arguments.UnlockMutex = given->UnlockMutex;
    arguments.flags = given->flags;
  }
  char* parameters = std::getenv("P11TEST_NSS_PARAMETERS");
  arguments.LibraryParameters = reinterpret_cast<CK_CHAR_PTR*>(parameters);
  return softokn->C_Initialize(&arguments);
}

bool load() {
  if (softokn != nullptr) return true;
  void* library = dlopen("libsoftokn3.so", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  auto* get_list = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  auto* get_interface = reinterpret_cast<CK_C_GetInterface>(dlsym(library, "C_GetInterface"));
  CK_VERSION version{3, 0};
  CK_INTERFACE_PTR newest = nullptr;
  if (get_interface(nullptr, &version, &newest, 0) != CKR_OK || get_list(&softokn) != CKR_OK) return false;
  functions = *softokn;
  functions.C_Initialize = initialize;
  functions30 = *static_cast<CK_FUNCTION_LIST_3_0_PTR>(newest->pFunctionList);
  functions30.C_Initialize = initialize;
  interface = {newest->pInterfaceName, &functions30, newest->flags};
  return true;
}

}  // namespace

#define P11TEST_EXPORT extern "C" __attribute__((visibility("default")))

P11TEST_EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList) {
  if (!load()) return CKR_GENERAL_ERROR;
  *ppFunctionList = &functions;
  return CKR_OK;
}

// Clients ask for the newest.
P11TEST_EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR, CK_VERSION_PTR, CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS) {
  if (!load()) return CKR_GENERAL_ERROR;
  *ppInterface = &interface;
  return CKR_OK;
}

#undef P11TEST_EXPORT
