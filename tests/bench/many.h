// Many applications and sessions at once: are they served, what does each take, and what do they cost the others?
#pragma once

#include "results.h"
#include "target.h"

namespace p11shim {

struct Crowds {
  unsigned applications = 10'000;
  unsigned sessions = 100'000;
  unsigned active = 8;  // applications that work beside the idle ones
  std::chrono::milliseconds round{300};
  unsigned rounds = 5;
};

// On a proxyd of its own for each: what other clients left behind must not count.
void measure_sessions(const BenchPaths& paths, const Crowds& crowds, Facts& facts);
void measure_applications(const BenchPaths& paths, const Crowds& crowds, Facts& facts);

}  // namespace p11shim
