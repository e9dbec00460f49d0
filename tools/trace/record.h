// Lines of a recording: one for each process that loads the module, one for each call. What is noted of a
// call is its name, when it began, how long it took, how it ended, and its mechanism: never an argument's
// bytes, so never a PIN.
#pragma once

#include <cstdint>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct TracedCall {
  const char* name;
  std::int64_t began_ns;  // CLOCK_REALTIME, so that processes can be compared
  std::int64_t took_ns;   // CLOCK_MONOTONIC
  CK_RV rv;
  const CK_MECHANISM_TYPE* mechanism;  // null: none
};

std::int64_t wall_ns() noexcept;
std::int64_t steady_ns() noexcept;

// Both append one line to the file P11SHIM_TRACE_FILE by one write(), or do nothing.
void record_process(const char* module) noexcept;
void record_call(const TracedCall& call) noexcept;

}  // namespace p11shim
