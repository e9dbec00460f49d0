// A pool of two kinds of HSM that hold one imported key.
#pragma once

#include "load.h"

namespace p11shim {

struct MixedResult {
  double least_share = 0;  // of all signatures: of the member that made fewer
  Load::Result load;       // while each of them was killed once
};

// Nothing if NSS is not installed.
std::optional<MixedResult> measure_mixed(std::chrono::milliseconds duration);

}  // namespace p11shim
