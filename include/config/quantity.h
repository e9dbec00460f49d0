// Quantities as people write them: "30s", "64MiB", "0660". Each parser takes the whole text or nothing, each
// formatter writes the shortest exact form, which parses back to the same value.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p11shim {

// A whole number and one of ms, s, m, h, d.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::milliseconds duration);

// A whole number and one of B, KiB, MiB, GiB.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

// Permission bits in octal, three digits with or without a leading 0.
std::optional<mode_t> parse_mode(std::string_view text);
std::string format_mode(mode_t mode);

}  // namespace p11shim
