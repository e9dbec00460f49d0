// NSS softokn as a module that any client can load: C_Initialize passes softokn the parameters it insists on, taken
// from P11TEST_NSS_PARAMETERS. Everything else is softokn's own function list, so this is "the module directly".
#include "pkcs11/cryptoki.h"

#include <cstdlib>
#include <dlfcn.h>

namespace {

CK_FUNCTION_LIST functions;
CK_FUNCTION_LIST_PTR softokn;

// The client's mutex functions and flags are passed on; softokn reads LibraryParameters where the standard has
// pReserved.
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

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList) {
  if (softokn == nullptr) {
    void* library = dlopen("libsoftokn3.so", RTLD_NOW | RTLD_LOCAL);
    auto* get_list =
        library == nullptr ? nullptr : reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    if (get_list == nullptr || get_list(&softokn) != CKR_OK) return CKR_GENERAL_ERROR;
    functions = *softokn;
    functions.C_Initialize = initialize;
  }
  *ppFunctionList = &functions;
  return CKR_OK;
}
