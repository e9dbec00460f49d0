// token selftest.
#pragma once

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct SelftestOptions {
  unsigned threads = 4;
};
ExitCode test_token(const Invocation& invocation, const SelftestOptions& options);

}  // namespace p11shim
