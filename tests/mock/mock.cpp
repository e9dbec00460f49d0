// libp11mock.so: a PKCS#11 module whose every answer a test chooses. P11MOCK_CONTROL names its control file
// (rules.h); without one it is a well-behaved module with two tokens, user PIN 1234.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

#include "answer.h"
#include "control.h"
#include "module.h"

#define CK_PKCS11_3_0 1

namespace p11shim {
namespace {

struct Mock {
  Control control{"P11MOCK_CONTROL"};
  MockModule module;
};

// Destroyed when the library is unloaded, thus after the application's own exit handlers, which may still
// call.
std::atomic<Mock*> instance;
[[gnu::destructor]] void destroy() { delete instance.exchange(nullptr); }

Mock& mock() {
  static Mock& first = *(instance = new Mock);
  return first;
}

// One line per call, written before the call is answered: a call that hangs or crashes is in the record too.
void record(const std::string& path, Function function, const std::string& inputs) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) std::abort();
  const std::string line = std::to_string(::getpid()) + ' ' + std::to_string(::syscall(SYS_gettid)) + ' ' +
                           std::string(function_name(function)) + ' ' + inputs + '\n';
  if (::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
  ::close(fd);
}

template <class First, class... Rest>
CK_MECHANISM_TYPE message_mechanism(MockModule& module, First first, Rest...) {
  if constexpr (std::is_same_v<First, CK_SESSION_HANDLE>) {
    const std::lock_guard lock(module.mutex());
    const MockSession* session = module.session(first);
    return session == nullptr ? 0 : session->message_mechanism;
  } else {
    return 0;
  }
}

// The module's own answer: the function of that name where module.h has one, otherwise the general one.
#define CK_PKCS11_FUNCTION_INFO(name)                                                                     \
  template <Function F, class Module, class... Arguments>                                                 \
  requires(F == Function::name) CK_RV own_answer(Module& module, [[maybe_unused]] const Verdict& verdict, \
                                                 Arguments... arguments) {                                \
    if constexpr (requires { module.name(arguments...); }) return module.name(arguments...);              \
    else return answer<F>(module, verdict, arguments...);                                                 \
  }
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO

// An operation ends with a call of it that fails, whatever made it fail (§5.2), but for a buffer that is too
// small.
template <Function F, class First, class... Rest>
void end_failed_operation(MockModule& module, CK_RV rv, First first, Rest...) {
  if constexpr (std::is_same_v<First, CK_SESSION_HANDLE>) {
    constexpr Step kStep = operation_step(F);
    constexpr bool kIsDual = kStep.kind == Step::Kind::kNone && function_name(F).ends_with("Update");
    if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL || kStep.operation == "FindObjects") return;
    const std::lock_guard lock(module.mutex());
    MockSession* session = module.session(first);
    if (session == nullptr) return;
    if (kIsDual) session->operations.clear();
    if (kStep.kind == Step::Kind::kNeed || kStep.kind == Step::Kind::kEnd) session->operations.erase(kStep.operation);
  }
}

template <Function F, class Prototype>
struct Entry;

template <Function F, class... Arguments>
struct Entry<F, CK_RV (*)(Arguments...)> {
  static CK_RV call(Arguments... arguments) {
    MockModule& module = mock().module;
    const auto rules = mock().control.rules();
    if (!rules->record.empty()) {
      Description inputs(message_mechanism(module, arguments...));
      argument::visit<F>(inputs, arguments...);
      record(rules->record, F, inputs.text());
    }
    const Verdict verdict = mock().control.judge(F);
    if (verdict.rv && !verdict.fill) {
      end_failed_operation<F>(module, *verdict.rv, arguments...);
      return *verdict.rv;
    }

    const std::lock_guard lock(module.mutex());
    module.use(verdict.rules);
    if (!module.initialized() && F != Function::C_Initialize) return CKR_CRYPTOKI_NOT_INITIALIZED;
    const CK_RV rv = own_answer<F>(module, verdict, arguments...);
    return verdict.rv.value_or(rv);
  }
};

CK_RV judge_entry_point(Function function) { return mock().control.judge(function).rv.value_or(CKR_OK); }

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

// The lists are filled anew whenever they are asked for: rules decide about the version and about missing
// functions.
CK_FUNCTION_LIST list_2;
CK_FUNCTION_LIST_3_0 list_3;

void fill_lists() {
  const auto rules = mock().control.rules();
  const bool has_3_0 = rules->version.major >= 3;
#define CK_PKCS11_FUNCTION_INFO(name) \
  list_3.name = rules->missing(Function::name) ? nullptr : &Entry<Function::name, CK_##name>::call;
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
#define CK_PKCS11_2_0_ONLY 1
#define CK_PKCS11_FUNCTION_INFO(name) list_2.name = list_3.name;
#include <pkcs11f.h>
#undef CK_PKCS11_FUNCTION_INFO
#undef CK_PKCS11_2_0_ONLY
  list_2.version = has_3_0 ? CK_VERSION{2, 40} : rules->version;
  list_3.version = rules->version;
}

CK_UTF8CHAR standard_name[] = "PKCS 11";
CK_UTF8CHAR vendor_name[] = "Vendor mock";
std::array interfaces{
    CK_INTERFACE{standard_name, &list_3, 0},
    CK_INTERFACE{standard_name, &list_2, 0},
    CK_INTERFACE{vendor_name, &list_2, CKF_INTERFACE_FORK_SAFE},
};

CK_RV get_function_list(CK_FUNCTION_LIST** list) {
  if (const CK_RV rv = judge_entry_point(Function::C_GetFunctionList); rv != CKR_OK) return rv;
  if (list == nullptr) return CKR_ARGUMENTS_BAD;
  fill_lists();
  *list = &list_2;
  return CKR_OK;
}

CK_RV get_interface_list(CK_INTERFACE* list, CK_ULONG* count) {
  if (const CK_RV rv = judge_entry_point(Function::C_GetInterfaceList); rv != CKR_OK) return rv;
  if (count == nullptr) return CKR_ARGUMENTS_BAD;
  fill_lists();
  const CK_ULONG capacity = *count;
  *count = interfaces.size();
  if (list == nullptr) return CKR_OK;
  if (capacity < interfaces.size()) return CKR_BUFFER_TOO_SMALL;
  std::copy(interfaces.begin(), interfaces.end(), list);
  return CKR_OK;
}

bool matches(const CK_INTERFACE& interface, const CK_UTF8CHAR* name, const CK_VERSION* version, CK_FLAGS flags) {
  const auto text = [](const CK_UTF8CHAR* value) { return reinterpret_cast<const char*>(value); };
  if (name != nullptr && std::strcmp(text(interface.pInterfaceName), text(name)) != 0) return false;
  const auto& offered = *static_cast<const CK_VERSION*>(interface.pFunctionList);
  if (version != nullptr && (version->major != offered.major || version->minor != offered.minor)) return false;
  return (interface.flags & flags) == flags;
}

CK_RV get_interface(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface, CK_FLAGS flags) {
  if (const CK_RV rv = judge_entry_point(Function::C_GetInterface); rv != CKR_OK) return rv;
  if (interface == nullptr) return CKR_ARGUMENTS_BAD;
  fill_lists();
  for (CK_INTERFACE& one : interfaces) {
    if (!matches(one, name, version, flags)) continue;
    *interface = &one;
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

// Exported by libp11mock.so only: libp11mock-2.so is the same without these two, as modules before 3.0 are.
[[gnu::visibility("default")]] CK_RV C_GetInterfaceList(CK_INTERFACE* list, CK_ULONG* count) {
  return p11shim::get_interface_list(list, count);
}

[[gnu::visibility("default")]] CK_RV C_GetInterface(CK_UTF8CHAR* name, CK_VERSION* version, CK_INTERFACE** interface,
                                                    CK_FLAGS flags) {
  return p11shim::get_interface(name, version, interface, flags);
}
}
