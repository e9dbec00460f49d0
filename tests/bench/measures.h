// The targets, as a table: each measure has a name, what is to be reached, and how its figure comes out of
// the results.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "results.h"

namespace p11shim {

struct Outcome {
  std::string figure;
  bool reached = false;
  double value = 0;  // what is compared with an earlier report
};

inline constexpr char kPrinted[] = "printed";

struct Measure {
  std::string name;
  std::string target;                                              // "printed": none
  std::function<std::optional<Outcome>(const Results&)> evaluate;  // nothing: it was not measured
};

std::vector<Measure> all_measures();

// The workload that is compared with the raw socket.
bool is_round_trip(const Cell& cell);
// Which cells the measures look at: they get more time than those that are only printed.
bool decides(const Cell& cell);

}  // namespace p11shim
