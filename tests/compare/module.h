// A PKCS#11 module loaded by path: the vendor's own or the shim, the tests do not care.
// Not unloaded before the process ends: some modules crash when unmapped.
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

class Module {
 public:
  // Throws std::runtime_error with the loader's words.
  explicit Module(const std::string& path);

  CK_FUNCTION_LIST& functions() const { return *functions_; }
  // nullptr where the module offers no 3.0 interface.
  CK_FUNCTION_LIST_3_0* functions_3_0() const { return functions_3_0_; }

  CK_C_GetFunctionList get_function_list() const { return get_function_list_; }
  // nullptr where the module does not export them.
  CK_C_GetInterfaceList get_interface_list() const { return get_interface_list_; }
  CK_C_GetInterface get_interface() const { return get_interface_; }

 private:
  CK_C_GetFunctionList get_function_list_ = nullptr;
  CK_C_GetInterfaceList get_interface_list_ = nullptr;
  CK_C_GetInterface get_interface_ = nullptr;
  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_FUNCTION_LIST_3_0* functions_3_0_ = nullptr;
};

}  // namespace p11shim::compare
