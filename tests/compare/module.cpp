#include "module.h"

#include <dlfcn.h>

#include <stdexcept>

namespace p11shim::compare {

Module::Module(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  get_function_list_ = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  get_interface_list_ = reinterpret_cast<CK_C_GetInterfaceList>(dlsym(library, "C_GetInterfaceList"));
  get_interface_ = reinterpret_cast<CK_C_GetInterface>(dlsym(library, "C_GetInterface"));
  if (!get_function_list_ || get_function_list_(&functions_) != CKR_OK || !functions_)
    throw std::runtime_error(path + " gives no function list");

  CK_VERSION version{3, 0};
  CK_INTERFACE* interface = nullptr;
  CK_UTF8CHAR name[] = "PKCS 11";
  if (get_interface_ && get_interface_(name, &version, &interface, 0) == CKR_OK && interface)
    functions_3_0_ = static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
}

}  // namespace p11shim::compare
