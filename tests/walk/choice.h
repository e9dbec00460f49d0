// The walk's dice: one for each step, made of the seed and the step's number alone, so that any subset of the
// steps of a walk can be walked again.
#pragma once

#include <cstdint>
#include <vector>

namespace p11shim::walk {

class Choice {
 public:
  Choice(std::uint64_t seed, std::uint64_t step) : state_(seed * 0x9e3779b97f4a7c15ULL + step) { next(); }

  std::uint64_t next() {  // splitmix64
    std::uint64_t mixed = (state_ += 0x9e3779b97f4a7c15ULL);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
  }
  // In [0, bound).
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <class Value>
  const Value& of(const std::vector<Value>& values) {
    return values[below(values.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace p11shim::walk
