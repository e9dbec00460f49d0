// How long calls of each kind take on one member, all but the slowest twentieth of the last ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace p11shim {

class UsualTimes {
 public:
  using Kind = std::pair<std::uint32_t, std::uint64_t>;  // function and mechanism
  static constexpr std::size_t kLeast = 32;              // calls before anything is known
  static constexpr std::size_t kMostKinds = 64;          // others are not watched

  void took(const Kind& kind, std::uint64_t us) {
    auto found = calls_.find(kind);
    if (found == calls_.end() && calls_.size() == kMostKinds) return;
    if (found == calls_.end()) found = calls_.try_emplace(kind).first;
    Calls& calls = found->second;
    calls.last[calls.count++ % kWindow] = static_cast<std::uint32_t>(std::min<std::uint64_t>(us, UINT32_MAX));
    if (calls.count >= kLeast && calls.count % kRefresh == 0) calls.refresh();
  }
  // Microseconds.
  [[nodiscard]] std::optional<std::uint64_t> p95(const Kind& kind) const {
    const auto found = calls_.find(kind);
    if (found == calls_.end() || found->second.count < kLeast) return std::nullopt;
    return found->second.p95;
  }

 private:
  static constexpr std::size_t kWindow = 256;
  static constexpr std::size_t kRefresh = 16;
  struct Calls {
    std::array<std::uint32_t, kWindow> last{};
    std::size_t count = 0;
    std::uint32_t p95 = 0;
    void refresh() {
      std::array<std::uint32_t, kWindow> sorted = last;
      const std::size_t size = std::min(count, kWindow);
      const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(size * 95 / 100);
      std::nth_element(sorted.begin(), at, sorted.begin() + static_cast<std::ptrdiff_t>(size));
      p95 = *at;
    }
  };
  std::map<Kind, Calls> calls_;
};

}  // namespace p11shim
