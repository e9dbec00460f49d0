// Which cores the client and the servers of a target may use. On virtual machines waking a thread on another
// core costs more than the work that most calls do, so placement is a dimension of the benchmark, not an
// accident of it.
#pragma once

#include <array>
#include <string_view>

#include "process.h"

namespace p11shim {

enum class Placement { kFree, kOneCore, kTwoCores };

inline constexpr std::array kPlacements{Placement::kFree, Placement::kOneCore, Placement::kTwoCores};

constexpr std::string_view placement_name(Placement placement) {
  switch (placement) {
    case Placement::kFree: return "free";
    case Placement::kOneCore: return "one core";
    case Placement::kTwoCores: return "two cores";
  }
  return "";
}

// All threads of a process and of all its descendants; threads that they start later inherit it.
void place_client(pid_t client, Placement placement);
void place_server(pid_t server, Placement placement);

bool has_two_cores();

}  // namespace p11shim
