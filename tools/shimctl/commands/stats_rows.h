// The figures of a stats snapshot as rows: one per function, mechanism or client, which can be compared with
// those of an earlier snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <utility>

#include "proxyd/stats/histogram.h"

namespace p11shim {

struct StatsRow {
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;
  std::map<std::string, std::uint64_t> errors;  // by return code
  Histogram latency;
};

// By (where, name): ("signing/hsm1", "C_Sign"). Clients are nowhere in particular.
using StatsRows = std::map<std::pair<std::string, std::string>, StatsRow>;

enum class StatsSubject : std::uint8_t { kFunctions, kMechanisms, kClients };

// `snapshot` is a raw one; `stage` is "total", "hsm", "queue" or "shim" (functions only). Throws Failure if
// it is not what proxyd writes.
StatsRows read_rows(const nlohmann::json& snapshot, StatsSubject subject, const std::string& stage);

// What happened between two snapshots, without the rows in which nothing did.
StatsRows rows_since(const StatsRows& now, const StatsRows& earlier);

struct StatsLayout {
  StatsSubject subject = StatsSubject::kFunctions;
  double seconds = 0;  // of an interval: shows rates; 0: shows counts
  bool emphasis = false;
};

// Busiest first; then the errors, one line per row and return code.
void write_rows(std::ostream& out, const StatsRows& rows, const StatsLayout& layout);

}  // namespace p11shim
