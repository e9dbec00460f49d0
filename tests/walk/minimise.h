// Finds fewer steps that still differ (delta debugging), so that a found difference fits on a page.
#pragma once

#include <chrono>
#include <functional>

#include "walker.h"

namespace p11shim::walk {

using Differs = std::function<bool(const std::vector<std::uint64_t>& steps)>;

// `steps` must differ. Tries until nothing can be left out or `patience` is over.
std::vector<std::uint64_t> minimise(std::vector<std::uint64_t> steps, const Differs& differs,
                                    std::chrono::seconds patience);

}  // namespace p11shim::walk
