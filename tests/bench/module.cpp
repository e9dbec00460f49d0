#include "module.h"

#include <dlfcn.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "pkcs11/names.h"
#include "token.h"

namespace p11shim {

ModuleError::ModuleError(const char* function, CK_RV rv)
    : std::runtime_error(std::string(function) + " gave " + display(NameKind::ckr, rv)) {}

void require(const char* function, CK_RV rv) {
  if (rv != CKR_OK) throw ModuleError(function, rv);
}

CK_FUNCTION_LIST& load_module(const std::string& path) {
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(::dlerror());
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(handle, "C_GetFunctionList"));
  if (get == nullptr) throw std::runtime_error(path + " has no C_GetFunctionList");
  CK_FUNCTION_LIST* list = nullptr;
  require("C_GetFunctionList", get(&list));
  return *list;
}

CK_SLOT_ID find_bench_slot(CK_FUNCTION_LIST& module) {
  std::vector<CK_SLOT_ID> slots(64);
  CK_ULONG count = slots.size();
  require("C_GetSlotList", module.C_GetSlotList(CK_TRUE, slots.data(), &count));
  slots.resize(count);
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    require("C_GetTokenInfo", module.C_GetTokenInfo(slot, &info));
    const std::string_view label(reinterpret_cast<const char*>(info.label), sizeof info.label);
    if (label.starts_with(std::string(kBenchLabel) + ' ')) return slot;
  }
  throw std::runtime_error("no token is labelled " + std::string(kBenchLabel));
}

CK_SESSION_HANDLE open_bench_session(CK_FUNCTION_LIST& module, CK_SLOT_ID slot) {
  CK_SESSION_HANDLE session = 0;
  require("C_OpenSession", module.C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session));
  return session;
}

void log_in(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session) {
  std::array<CK_UTF8CHAR, sizeof kBenchPin - 1> pin{};
  std::memcpy(pin.data(), kBenchPin, pin.size());
  require("C_Login", module.C_Login(session, CKU_USER, pin.data(), pin.size()));
}

CK_OBJECT_HANDLE find_object(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, CK_OBJECT_CLASS type,
                             const char* label) {
  std::string text = label;
  std::array<CK_ATTRIBUTE, 2> wanted{{{CKA_CLASS, &type, sizeof type}, {CKA_LABEL, text.data(), text.size()}}};
  CK_OBJECT_HANDLE object = 0;
  CK_ULONG count = 0;
  require("C_FindObjectsInit", module.C_FindObjectsInit(session, wanted.data(), wanted.size()));
  require("C_FindObjects", module.C_FindObjects(session, &object, 1, &count));
  require("C_FindObjectsFinal", module.C_FindObjectsFinal(session));
  if (count != 1) throw std::runtime_error("C_FindObjects found no " + text);
  return object;
}

}  // namespace p11shim
