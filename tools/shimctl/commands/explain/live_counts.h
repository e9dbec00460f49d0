// How often a return code has come since proxyd started, where, and to whom: from the statistics of a running one.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct CodePlace {
  std::string member;  // "pool/member"; "proxyd" for what it answers itself
  std::string function;
  std::uint64_t count = 0;
};

struct CodeClient {
  std::string client;
  std::uint64_t count = 0;
};

struct CodeCounts {
  std::uint64_t total = 0;
  std::vector<CodePlace> places;    // most frequent first
  std::vector<CodeClient> clients;  // likewise
};

// `statistics` is what proxyd answers to "stats".
CodeCounts count_code(const nlohmann::json& statistics, const std::string& name);

enum class Live : std::uint8_t { kIfThere, kNever, kAlways };

// The statistics of the running proxyd; none if there is none and none is demanded.
std::optional<nlohmann::json> live_statistics(const Invocation& invocation, Live live);

}  // namespace p11shim
