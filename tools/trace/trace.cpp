// A PKCS#11 module that hands each call on to the module that P11SHIM_TRACE_MODULE names, and notes it. The
// function lists are the standard's own list of functions; one that the module lacks is answered with
// CKR_FUNCTION_NOT_SUPPORTED.
#include <dlfcn.h>
#include <stdlib.h>

#include <cstddef>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include "pkcs11/interface.h"
#include "tools/trace/record.h"

namespace p11shim {
namespace {

// The functions of 2.40 come first in the list of 3.0, in the same places.
struct RealModule {
  CK_FUNCTION_LIST_3_0* functions = nullptr;
  bool has_3_0 = false;
};

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

RealModule load() {
  const char* path = ::secure_getenv("P11SHIM_TRACE_MODULE");
  void* library = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  record_process(path);
  if (auto* list = find_list_3_0(symbol<CK_C_GetInterface>(library, "C_GetInterface"))) return {list, true};
  CK_FUNCTION_LIST* list = nullptr;
  const auto get = symbol<CK_C_GetFunctionList>(library, "C_GetFunctionList");
  if (get == nullptr || get(&list) != CKR_OK) return {};
  return {reinterpret_cast<CK_FUNCTION_LIST_3_0*>(list), false};
}

const RealModule& real() {
  static const RealModule module = load();
  return module;
}

const CK_MECHANISM_TYPE* mechanism_of() { return nullptr; }
template <class First, class... Rest>
const CK_MECHANISM_TYPE* mechanism_of(First first, Rest... rest) {
  if constexpr (std::is_same_v<First, CK_MECHANISM_PTR>) return first == nullptr ? nullptr : &first->mechanism;
  else return mechanism_of(rest...);
}

template <class Name, bool Is30, class Function>
struct Traced;
template <class Name, bool Is30, class... A>
struct Traced<Name, Is30, CK_RV (*)(A...)> {
  static CK_RV call(A... arguments) {
    const RealModule& module = real();
    if (module.functions == nullptr) return CKR_GENERAL_ERROR;
    if (Is30 && !module.has_3_0) return CKR_FUNCTION_NOT_SUPPORTED;
    const auto function = module.functions->*Name::member;
    if (function == nullptr) return CKR_FUNCTION_NOT_SUPPORTED;
    const auto* mechanism = mechanism_of(arguments...);
    const CK_MECHANISM_TYPE type = mechanism == nullptr ? 0 : *mechanism;  // the module may change it
    const auto began = wall_ns();
    const auto start = steady_ns();
    const CK_RV rv = function(arguments...);
    record_call({Name::text, began, steady_ns() - start, rv, mechanism == nullptr ? nullptr : &type});
    return rv;
  }
};

#define CK_PKCS11_FUNCTION_INFO(name)                           \
  struct Of_##name {                                            \
    static constexpr char text[] = #name;                       \
    static constexpr auto member = &CK_FUNCTION_LIST_3_0::name; \
  };
#define CK_PKCS11_3_0 1
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
#undef CK_PKCS11_3_0

CK_RV get_function_list(CK_FUNCTION_LIST_PTR_PTR list);
CK_RV get_interface_list(CK_INTERFACE_PTR interfaces, CK_ULONG_PTR count);
CK_RV get_interface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found, CK_FLAGS flags);

#define CK_PKCS11_FUNCTION_INFO(name) &Traced<Of_##name, false, CK_##name>::call,
CK_FUNCTION_LIST functions_2_40{
    {2, 40},
#include <pkcs11f.h>
};
#undef CK_PKCS11_FUNCTION_INFO
// Functions that the module lacks answer by themselves, whatever version they are of.
#define CK_PKCS11_FUNCTION_INFO(name) \
  &Traced<Of_##name, (offsetof(CK_FUNCTION_LIST_3_0, name) >= sizeof(CK_FUNCTION_LIST)), CK_##name>::call,
#define CK_PKCS11_3_0 1
CK_FUNCTION_LIST_3_0 functions_3_0{
    {3, 0},
#include <pkcs11f.h>
};
#undef CK_PKCS11_FUNCTION_INFO
#undef CK_PKCS11_3_0

CK_UTF8CHAR interface_name[] = "PKCS 11";
CK_INTERFACE interfaces[] = {{interface_name, &functions_3_0, 0}, {interface_name, &functions_2_40, 0}};

// These three are ours in both lists.
[[maybe_unused]] const bool prepared = [] {
  functions_2_40.C_GetFunctionList = get_function_list;
  functions_3_0.C_GetFunctionList = get_function_list;
  functions_3_0.C_GetInterfaceList = get_interface_list;
  functions_3_0.C_GetInterface = get_interface;
  return true;
}();

std::size_t first_interface() { return real().has_3_0 ? 0 : 1; }

CK_RV get_function_list(CK_FUNCTION_LIST_PTR_PTR list) {
  if (list == nullptr) return CKR_ARGUMENTS_BAD;
  if (real().functions == nullptr) return CKR_GENERAL_ERROR;
  *list = &functions_2_40;
  return CKR_OK;
}

CK_RV get_interface_list(CK_INTERFACE_PTR list, CK_ULONG_PTR count) {
  if (count == nullptr) return CKR_ARGUMENTS_BAD;
  const CK_ULONG all = std::size(interfaces) - first_interface();
  const CK_ULONG room = std::exchange(*count, all);
  if (list == nullptr) return CKR_OK;
  if (room < all) return CKR_BUFFER_TOO_SMALL;
  std::memcpy(list, interfaces + first_interface(), all * sizeof(CK_INTERFACE));
  return CKR_OK;
}

CK_RV get_interface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found, CK_FLAGS flags) {
  if (found == nullptr) return CKR_ARGUMENTS_BAD;
  if (real().functions == nullptr) return CKR_GENERAL_ERROR;
  for (std::size_t i = first_interface(); i < std::size(interfaces); ++i) {
    const auto* of = static_cast<const CK_VERSION*>(interfaces[i].pFunctionList);
    if (name != nullptr &&
        std::strcmp(reinterpret_cast<const char*>(name), reinterpret_cast<const char*>(interface_name)) != 0)
      continue;
    if (version != nullptr && (version->major != of->major || version->minor != of->minor)) continue;
    if (flags != 0) continue;
    *found = &interfaces[i];
    return CKR_OK;
  }
  return CKR_ARGUMENTS_BAD;
}

}  // namespace
}  // namespace p11shim

#define P11_EXPORT extern "C" __attribute__((visibility("default")))
P11_EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) { return p11shim::get_function_list(list); }
P11_EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE_PTR list, CK_ULONG_PTR count) {
  return p11shim::get_interface_list(list, count);
}
P11_EXPORT CK_RV C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR found,
                                CK_FLAGS flags) {
  return p11shim::get_interface(name, version, found, flags);
}
#undef P11_EXPORT
