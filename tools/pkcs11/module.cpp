#include "tools/pkcs11/module.h"

#include <dlfcn.h>

#include <algorithm>

#include "pkcs11/interface.h"

namespace p11shim {

namespace {

// A list that grows between the two calls is asked for again, a few times.
template <class T, class Call>
std::vector<T> two_calls(const char* function, Call call) {
  for (int attempt = 0;; ++attempt) {
    CK_ULONG count = 0;
    check(function, call(nullptr, &count));
    std::vector<T> list(count);
    if (count == 0) return list;
    const CK_RV rv = call(list.data(), &count);
    if (rv == CKR_BUFFER_TOO_SMALL && attempt < 3) continue;
    check(function, rv);
    list.resize(std::min<std::size_t>(count, list.size()));
    return list;
  }
}

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

}  // namespace

Module::Module(const std::string& path, const std::string& library_parameters) : path_(path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw LoadError(::dlerror());
  const auto get = symbol<CK_C_GetFunctionList>(library, "C_GetFunctionList");
  if (get == nullptr) throw LoadError(path + " is a library without C_GetFunctionList");
  check("C_GetFunctionList", get(&functions_));
  if (functions_ == nullptr) throw LoadError(path + " gives no function list");
  functions_3_0_ = find_list_3_0(symbol<CK_C_GetInterface>(library, "C_GetInterface"));

  std::string parameters = library_parameters;
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  // In the standard's layout, this is pReserved, which must be NULL.
  if (!parameters.empty()) arguments.LibraryParameters = reinterpret_cast<CK_CHAR_PTR*>(parameters.data());
  const CK_RV rv = functions_->C_Initialize(&arguments);
  if (rv == CKR_CANT_LOCK) {
    arguments.flags = 0;
    check("C_Initialize", functions_->C_Initialize(&arguments));
  } else {
    check("C_Initialize", rv);
  }
}

Module::~Module() { functions_->C_Finalize(nullptr); }

CK_INFO Module::info() const {
  CK_INFO info{};
  check("C_GetInfo", functions_->C_GetInfo(&info));
  return info;
}

std::vector<CK_SLOT_ID> Module::slots(bool with_token) const {
  return two_calls<CK_SLOT_ID>("C_GetSlotList", [&](CK_SLOT_ID* list, CK_ULONG* count) {
    return functions_->C_GetSlotList(with_token ? CK_TRUE : CK_FALSE, list, count);
  });
}

CK_SLOT_INFO Module::slot_info(CK_SLOT_ID slot) const {
  CK_SLOT_INFO info{};
  check("C_GetSlotInfo", functions_->C_GetSlotInfo(slot, &info));
  return info;
}

CK_TOKEN_INFO Module::token_info(CK_SLOT_ID slot) const {
  CK_TOKEN_INFO info{};
  check("C_GetTokenInfo", functions_->C_GetTokenInfo(slot, &info));
  return info;
}

std::vector<CK_MECHANISM_TYPE> Module::mechanisms(CK_SLOT_ID slot) const {
  auto list = two_calls<CK_MECHANISM_TYPE>("C_GetMechanismList", [&](CK_MECHANISM_TYPE* types, CK_ULONG* count) {
    return functions_->C_GetMechanismList(slot, types, count);
  });
  std::sort(list.begin(), list.end());
  return list;
}

CK_MECHANISM_INFO Module::mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism) const {
  CK_MECHANISM_INFO info{};
  check("C_GetMechanismInfo", functions_->C_GetMechanismInfo(slot, mechanism, &info));
  return info;
}

bool Module::has_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism) const {
  CK_MECHANISM_INFO info{};
  return functions_->C_GetMechanismInfo(slot, mechanism, &info) == CKR_OK;
}

}  // namespace p11shim
