#include "tools/shimctl/output/quantity_text.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace p11shim {

namespace {

// Three significant digits, as long as the value is below 1000.
std::string significant(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

}  // namespace

std::string duration_text(std::uint64_t nanoseconds) {
  if (nanoseconds < 1000) return std::to_string(nanoseconds) + " ns";
  constexpr std::pair<double, const char*> kUnits[] = {{1e3, " µs"}, {1e6, " ms"}, {1e9, " s"}};
  const auto value = static_cast<double>(nanoseconds);
  for (const auto& [size, unit] : kUnits) {
    if (value / size < 999.5) return significant(value / size) + unit;
  }
  return age_text(value / 1e9);
}

std::string age_text(double seconds) {
  constexpr std::pair<double, const char*> kUnits[] = {{1, " s"}, {60, " min"}, {3600, " h"}, {86400, " d"}};
  const auto* unit = &kUnits[0];
  for (const auto& candidate : kUnits) {
    if (seconds >= 2 * candidate.first) unit = &candidate;
  }
  const double value = seconds / unit->first;
  return (value < 10 && unit != &kUnits[0] ? significant(value) : std::to_string(std::llround(value))) + unit->second;
}

std::string rate_text(double per_second) {
  if (per_second == 0) return "0";
  return per_second < 9.995 ? significant(per_second) : std::to_string(std::llround(per_second));
}

}  // namespace p11shim
