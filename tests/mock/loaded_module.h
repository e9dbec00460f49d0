// A PKCS#11 module loaded for one test, and a private folder for its files. Unloading forgets the module's
// state.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class PrivateFolder {
 public:
  PrivateFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "p11test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~PrivateFolder() { std::filesystem::remove_all(path_); }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class LoadedModule {
 public:
  explicit LoadedModule(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) ADD_FAILURE() << ::dlerror();
    functions()->C_GetFunctionList(&list_2_);
    CK_INTERFACE* interface = nullptr;
    if (const auto get = symbol<CK_C_GetInterface>("C_GetInterface");
        get != nullptr && get(nullptr, nullptr, &interface, 0) == CKR_OK) {
      list_3_ = static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
    }
  }
  ~LoadedModule() { ::dlclose(handle_); }
  LoadedModule(const LoadedModule&) = delete;
  LoadedModule& operator=(const LoadedModule&) = delete;

  template <class Pointer>
  Pointer symbol(const char* name) const {
    return reinterpret_cast<Pointer>(::dlsym(handle_, name));
  }

  // The 2.x list as C_GetFunctionList gives it now.
  CK_FUNCTION_LIST* functions() const {
    CK_FUNCTION_LIST* list = nullptr;
    EXPECT_EQ(symbol<CK_C_GetFunctionList>("C_GetFunctionList")(&list), CKR_OK);
    return list;
  }
  CK_FUNCTION_LIST* operator->() const { return list_2_; }
  CK_FUNCTION_LIST_3_0* v3() const { return list_3_; }

 private:
  void* handle_;
  CK_FUNCTION_LIST* list_2_ = nullptr;
  CK_FUNCTION_LIST_3_0* list_3_ = nullptr;
};

}  // namespace p11shim
