#include "minimise.h"

#include <algorithm>

namespace p11shim::walk {

std::vector<std::uint64_t> minimise(std::vector<std::uint64_t> steps, const Differs& differs,
                                    std::chrono::seconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (std::size_t chunk = std::max<std::size_t>(steps.size() / 2, 1);; chunk /= 2) {
    bool shorter = false;
    // From the back: what comes later depends on what came before.
    for (std::size_t end = steps.size(); end > 0;) {
      if (std::chrono::steady_clock::now() > until) return steps;
      const std::size_t begin = end > chunk ? end - chunk : 0;
      std::vector<std::uint64_t> fewer = steps;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(begin), fewer.begin() + static_cast<std::ptrdiff_t>(end));
      end = begin;
      if (fewer.empty() || !differs(fewer)) continue;
      steps = std::move(fewer);
      shorter = true;
    }
    if (chunk > 1) continue;
    if (!shorter) return steps;
    chunk = 2;  // once more, one by one
  }
}

}  // namespace p11shim::walk
