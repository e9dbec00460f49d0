// Other processes that measure at the same time: when all begin.
#pragma once

#include <chrono>

namespace p11shim {

class LoadCompany {
 public:
  virtual ~LoadCompany() = default;

  // The load begins, with its warm-up.
  virtual void warm_up() = 0;
  // When the first slice begins, for all. `stopped` ends the waiting for the others.
  virtual std::chrono::steady_clock::time_point begin() = 0;
};

}  // namespace p11shim
