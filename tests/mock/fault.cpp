// libp11fault.so: stands before a real module (P11FAULT_MODULE) and forwards every call, after doing to it
// what the control file (P11FAULT_CONTROL, rules.h) says: latency, few places, chosen return codes, hanging,
// crashing, lost objects. An HSM of 200 operations a second is `C_Sign|C_Decrypt latency=5ms concurrency=1`.
//
// What the real module answers passes unchanged: arguments, outputs and handles are never looked at.
//
// SIGUSR1 kills the process as soon as no call is in the real module: an HSM may die at any moment, but does not lose what it
// has stored by that. (SoftHSM does: it empties a file before it writes it anew, and its token is one of these files.)
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <tuple>

#include "arguments.h"
#include "control.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

// The real module, with the newest function list that it has.
struct RealModule {
  CK_FUNCTION_LIST* list_2 = nullptr;
  CK_FUNCTION_LIST_3_0* list_3 = nullptr;

  RealModule() {
    const char* path = std::getenv("P11FAULT_MODULE");
    void* handle = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      std::fprintf(stderr, "fault module: P11FAULT_MODULE: %s\n", path == nullptr ? "not set" : ::dlerror());
      return;
    }
    const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(handle, "C_GetFunctionList"));
    if (get_list == nullptr || get_list(&list_2) != CKR_OK) list_2 = nullptr;

    const auto get_interface = reinterpret_cast<CK_C_GetInterface>(::dlsym(handle, "C_GetInterface"));
    CK_UTF8CHAR name[] = "PKCS 11";
    CK_VERSION version{3, 0};
    CK_INTERFACE* interface = nullptr;
    if (get_interface != nullptr && get_interface(name, &version, &interface, 0) == CKR_OK) {
      list_3 = static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
    }
  }
};

std::atomic<unsigned> calls_inside;
std::atomic<bool> is_dying;

class Inside {
 public:
  Inside() {
    ++calls_inside;
    if (!is_dying) return;
    leave();
    for (;;) ::pause();  // the last one that is still inside kills
  }
  ~Inside() { leave(); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  static void leave() {
    if (--calls_inside == 0 && is_dying) ::kill(::getpid(), SIGKILL);
  }
};

void die(int) {
  is_dying = true;
  if (calls_inside == 0) ::kill(::getpid(), SIGKILL);
}

struct Fault {
  Fault() {
    struct sigaction action {};
    action.sa_handler = &die;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &action, nullptr);
  }
  Control control{"P11FAULT_CONTROL"};
  RealModule real;
};

// Destroyed when the library is unloaded, thus after the application's own exit handlers, which may still
// call.
std::atomic<Fault*> instance;
[[gnu::destructor]] void destroy() { delete instance.exchange(nullptr); }

Fault& fault() {
  static Fault& first = *(instance = new Fault);
  return first;
}

template <Function F>
struct Pointer;
#define CK_PKCS11_FUNCTION_INFO(function)                                \
  template <>                                                            \
  struct Pointer<Function::function> {                                   \
    template <class List>                                                \
    static CK_##function in(const List* list) {                          \
      if constexpr (requires { list->function; }) return list->function; \
      else return nullptr;                                               \
    }                                                                    \
  };
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO

template <Function F, class... Arguments>
CK_RV forward(Arguments... arguments) {
  const RealModule& real = fault().real;
  const Inside inside;
  const auto function = real.list_3 != nullptr ? Pointer<F>::in(real.list_3) : Pointer<F>::in(real.list_2);
  return function == nullptr ? CKR_FUNCTION_NOT_SUPPORTED : function(arguments...);
}

template <Function F>
inline constexpr bool kNamesAnObject =
    F == Function::C_GetAttributeValue || F == Function::C_SetAttributeValue || F == Function::C_CopyObject ||
    F == Function::C_DestroyObject || F == Function::C_GetObjectSize;

// Every function that takes a mechanism and a key takes them in this order.
template <class... Arguments>
inline constexpr bool kNamesAKey =
    argument::starts_with<std::tuple<Arguments...>, 0, CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE>();

template <Function F, class... Arguments>
CK_RV forward_without_objects(Arguments... arguments) {
  if constexpr (kNamesAnObject<F>) {
    return CKR_OBJECT_HANDLE_INVALID;
  } else if constexpr (kNamesAKey<Arguments...> || F == Function::C_DigestKey) {
    return CKR_KEY_HANDLE_INVALID;
  } else if constexpr (F == Function::C_FindObjects) {
    const CK_RV rv = forward<F>(arguments...);
    if (rv == CKR_OK) *std::get<3>(std::tuple{arguments...}) = 0;
    return rv;
  } else {
    return forward<F>(arguments...);
  }
}

template <Function F, class Prototype>
struct Entry;

template <Function F, class... Arguments>
struct Entry<F, CK_RV (*)(Arguments...)> {
  static CK_RV call(Arguments... arguments) {
    const Verdict verdict = fault().control.judge(F);  // its place is held until the real call is over
    if (verdict.rv) return *verdict.rv;
    const Rules& rules = *verdict.rules;
    if (rules.objects_lost || (rules.objects_out_of_sight && verdict.is_older))
      return forward_without_objects<F>(arguments...);
    return forward<F>(arguments...);
  }
};

CK_RV get_function_list(CK_FUNCTION_LIST** list);
CK_RV get_interface_list(CK_INTERFACE* list, CK_ULONG* count);
CK_RV get_interface(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface, CK_FLAGS flags);

template <>
struct Entry<Function::C_GetFunctionList, CK_C_GetFunctionList> {
  static CK_RV call(CK_FUNCTION_LIST** list) { return get_function_list(list); }
};
template <>
struct Entry<Function::C_GetInterfaceList, CK_C_GetInterfaceList> {
  static CK_RV call(CK_INTERFACE* list, CK_ULONG* count) { return get_interface_list(list, count); }
};
template <>
struct Entry<Function::C_GetInterface, CK_C_GetInterface> {
  static CK_RV call(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface, CK_FLAGS flags) {
    return get_interface(name, version, interface, flags);
  }
};

CK_FUNCTION_LIST list_2{
    {2, 40},
#define CK_PKCS11_2_0_ONLY 1
#define CK_PKCS11_FUNCTION_INFO(name) &Entry<Function::name, CK_##name>::call,
#include <pkcs11f.h>
#undef CK_PKCS11_2_0_ONLY
};
CK_FUNCTION_LIST_3_0 list_3{
    {3, 0},
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
};

CK_UTF8CHAR standard_name[] = "PKCS 11";
std::array interfaces{CK_INTERFACE{standard_name, &list_2, 0}, CK_INTERFACE{standard_name, &list_3, 0}};

// A module without 3.0 does not get it by being wrapped.
std::span<CK_INTERFACE> offered() { return std::span(interfaces).first(fault().real.list_3 == nullptr ? 1 : 2); }

CK_RV get_function_list(CK_FUNCTION_LIST** list) {
  if (list == nullptr) return CKR_ARGUMENTS_BAD;
  if (fault().real.list_2 == nullptr) return CKR_GENERAL_ERROR;
  list_2.version = fault().real.list_2->version;
  *list = &list_2;
  return CKR_OK;
}

CK_RV get_interface_list(CK_INTERFACE* list, CK_ULONG* count) {
  if (count == nullptr) return CKR_ARGUMENTS_BAD;
  const auto all = offered();
  const CK_ULONG capacity = *count;
  *count = all.size();
  if (list == nullptr) return CKR_OK;
  if (capacity < all.size()) return CKR_BUFFER_TOO_SMALL;
  std::copy(all.begin(), all.end(), list);
  return CKR_OK;
}

CK_RV get_interface(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface, CK_FLAGS flags) {
  if (interface == nullptr) return CKR_ARGUMENTS_BAD;
  if (name != nullptr && std::strcmp(reinterpret_cast<const char*>(name), "PKCS 11") != 0) return CKR_FUNCTION_FAILED;
  const auto all = offered();
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    const auto& has = *static_cast<const CK_VERSION*>(one->pFunctionList);
    if (version != nullptr && (version->major != has.major || version->minor != has.minor)) continue;
    if ((one->flags & flags) != flags) continue;
    *interface = &*one;
    return CKR_OK;
  }
  return CKR_FUNCTION_FAILED;
}

}  // namespace
}  // namespace p11shim

extern "C" {

[[gnu::visibility("default")]] CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  return p11shim::get_function_list(list);
}

[[gnu::visibility("default")]] CK_RV C_GetInterfaceList(CK_INTERFACE* list, CK_ULONG* count) {
  return p11shim::get_interface_list(list, count);
}

[[gnu::visibility("default")]] CK_RV C_GetInterface(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface,
                                                    CK_FLAGS flags) {
  return p11shim::get_interface(name, version, interface, flags);
}
}
