// What a way to the module adds to the time that the module itself takes, exactly: where the module takes milliseconds, whose noise
// is larger than what is sought, the difference of two medians says nothing. Each target's module is a wrapper that counts the
// time spent inside, and what is left of an operation's time is what was added.
#pragma once

#include <chrono>
#include <cstdint>

#include "target.h"

namespace p11shim {

// A copy of the wrapper for one target, with a counter of its own, in the benchmark's folder.
class Stopwatch {
 public:
  Stopwatch(const BenchPaths& paths, const std::string& name);
  // To be given to the target instead of `paths`.
  const BenchPaths& paths() const { return paths_; }

  // Per operation on one thread, on average.
  struct Split {
    double inside_ns;
    double added_ns;
  };
  Split run(Target& target, std::string_view workload, std::chrono::milliseconds duration) const;

 private:
  std::uint64_t inside_ns() const;

  BenchPaths paths_;
};

// What shim and p11-kit add to a workload on one core, one thread.
void measure_added(const BenchPaths& paths, const char* workload, std::chrono::milliseconds round, unsigned rounds,
                   bool with_peer, Facts& facts);

}  // namespace p11shim
