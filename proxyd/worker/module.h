// The vendor's module inside this worker: loaded once, initialised once, finalised when the worker leaves.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <vector>

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

  // All functions of 3.0; those that the module lacks are null, and all are before a successful load. Any thread may ask:
  // what orders the lanes behind the load is a message through proxyd.
  [[nodiscard]] const CK_FUNCTION_LIST_3_0& functions() const { return *published_.load(std::memory_order_acquire); }
  // Of keys: attributes that say that each use is counted.
  [[nodiscard]] std::span<const CK_ATTRIBUTE_TYPE> counters() const { return counters_; }

 private:
  bool find_functions(void* library, LoadedModule& loaded);
  CK_RV initialize(const LoadOrder& order);

  static constexpr CK_FUNCTION_LIST_3_0 kNone{};
  CK_FUNCTION_LIST_3_0 functions_{};
  std::atomic<const CK_FUNCTION_LIST_3_0*> published_{&kNone};
  bool initialized_ = false;
  std::vector<CK_ATTRIBUTE_TYPE> counters_{CKA_KEYS_REMAINING};  // constant after the load
};

}  // namespace p11shim
