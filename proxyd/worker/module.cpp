#include "proxyd/worker/module.h"

#include <dlfcn.h>

#include <cstring>

#include "pkcs11/interface.h"
#include "proxyd/worker/shield.h"

namespace p11shim {
namespace {

constexpr CK_BYTE kOldestMinor = 1;  // 2.01 has all functions of 2.40, in the same order

std::string version_text(const CK_VERSION& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

// Those that a worker calls on its own account; any other may be missing.
bool has_required_functions(const CK_FUNCTION_LIST_3_0& list) {
  return list.C_Initialize != nullptr && list.C_GetSlotList != nullptr && list.C_GetSlotInfo != nullptr &&
         list.C_GetTokenInfo != nullptr && list.C_OpenSession != nullptr && list.C_CloseSession != nullptr &&
         list.C_GetAttributeValue != nullptr && list.C_FindObjects != nullptr;
}

}  // namespace

Module::~Module() {
  if (initialized_ && functions_.C_Finalize != nullptr) functions_.C_Finalize(nullptr);
}

CK_RV Module::load(const LoadOrder& order, LoadedModule& loaded) {
  void* library = dlopen(order.path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    loaded.failure = why != nullptr ? why : "dlopen failed";
    return CKR_GENERAL_ERROR;
  }
  if (!find_functions(library, loaded)) return CKR_GENERAL_ERROR;
  if (!has_required_functions(functions_)) {
    loaded.failure = "its function list lacks functions that every module must have";
    return CKR_GENERAL_ERROR;
  }

  const CK_RV rv = initialize(order);
  if (rv != CKR_OK) {
    loaded.failure = "C_Initialize failed";
    return rv;
  }
  initialized_ = true;
  shield(functions_);
  if (functions_.C_GetInfo != nullptr) functions_.C_GetInfo(&loaded.info);
  counters_.insert(counters_.end(), order.counters.begin(), order.counters.end());
  published_.store(&functions_, std::memory_order_release);
  return CKR_OK;
}

bool Module::find_functions(void* library, LoadedModule& loaded) {
  if (const auto* list = find_list_3_0(reinterpret_cast<CK_C_GetInterface>(dlsym(library, "C_GetInterface")))) {
    functions_ = *list;
    loaded.has_3_0 = true;
    return true;
  }
  const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  if (get_list == nullptr) {
    loaded.failure = "not a PKCS#11 module: it does not export C_GetFunctionList";
    return false;
  }
  CK_FUNCTION_LIST_PTR list = nullptr;
  if (get_list(&list) != CKR_OK || list == nullptr) {
    loaded.failure = "its C_GetFunctionList failed";
    return false;
  }
  if (list->version.major != 2 || list->version.minor < kOldestMinor) {
    loaded.failure = "its C_GetFunctionList offers PKCS#11 " + version_text(list->version) +
                     ", where 2.01 to 2.40 are supported; 3.x is what C_GetInterface offers";
    return false;
  }
  static_assert(offsetof(CK_FUNCTION_LIST, C_WaitForSlotEvent) == offsetof(CK_FUNCTION_LIST_3_0, C_WaitForSlotEvent));
  std::memcpy(&functions_, list, sizeof *list);
  return true;
}

CK_RV Module::initialize(const LoadOrder& order) {
  if (order.null_arguments) return functions_.C_Initialize(nullptr);
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = order.flags;
  // NSS reads a string where the standard has pReserved, and a reserved pointer behind it (its pkcs11t.h).
  std::string parameters = order.library_parameters;
  if (!parameters.empty()) arguments.LibraryParameters = reinterpret_cast<CK_CHAR_PTR*>(parameters.data());
  return functions_.C_Initialize(&arguments);
}

}  // namespace p11shim
