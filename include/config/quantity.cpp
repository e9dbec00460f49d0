#include "config/quantity.h"

#include <array>
#include <charconv>
#include <limits>
#include <span>
#include <utility>

namespace p11shim {
namespace {

using Unit = std::pair<std::string_view, std::uint64_t>;

// From small to large.
constexpr std::array<Unit, 5> kDurationUnits{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 4> kSizeUnits{{{"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}}};

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

std::optional<std::uint64_t> parse_quantity(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{}) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, factor] : units) {
    if (suffix != name) continue;
    if (number > kLargest / factor) return std::nullopt;
    return number * factor;
  }
  return std::nullopt;
}

std::string format_quantity(std::uint64_t quantity, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (quantity >= unit.second && quantity % unit.second == 0) best = &unit;
  }
  return std::to_string(quantity / best->second) + std::string(best->first);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto count = parse_quantity(text, kDurationUnits);
  if (!count) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*count));
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() <= 0) return "0s";
  return format_quantity(static_cast<std::uint64_t>(duration.count()), kDurationUnits);
}

std::optional<std::uint64_t> parse_size(std::string_view text) { return parse_quantity(text, kSizeUnits); }

std::string format_size(std::uint64_t bytes) { return format_quantity(bytes, kSizeUnits); }

std::optional<mode_t> parse_mode(std::string_view text) {
  if (text.size() < 3 || text.size() > 4 || (text.size() == 4 && text.front() != '0')) return std::nullopt;
  mode_t mode = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return mode;
}

std::string format_mode(mode_t mode) {
  std::string text = "0000";
  for (std::size_t digit = 3; digit > 0; --digit, mode >>= 3) text[digit] = static_cast<char>('0' + (mode & 7));
  return text;
}

}  // namespace p11shim
