// The vendor's module inside this worker: loaded once, initialised once, finalised when the worker leaves.
#pragma once

#include <string>

#include "calls/lane_calls.h"

namespace p11shim {

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  // C_Finalize. The library itself stays mapped: many cannot be unloaded.
  ~Module();

  // dlopen, function lists, C_Initialize, C_GetInfo. On failure `loaded.failure` says what went wrong.
  CK_RV load(const LoadOrder& order, LoadedModule& loaded);

  // All functions of 3.0; those that the module lacks are null. Valid after a successful load.
  [[nodiscard]] const CK_FUNCTION_LIST_3_0& functions() const { return functions_; }

 private:
  bool find_functions(void* library, LoadedModule& loaded);
  CK_RV initialize(const LoadOrder& order);

  CK_FUNCTION_LIST_3_0 functions_{};
  bool initialized_ = false;
};

}  // namespace p11shim
