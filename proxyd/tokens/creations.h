// The creations that are under way on one member, in the order of their begin. What is seen there meanwhile may be half made:
// modules show an object before they have given it all its attributes.
#pragma once

#include <cstdint>
#include <set>

namespace p11shim {

class Creations {
 public:
  std::uint64_t begin() { return *under_way_.insert(next_++).first; }
  void end(std::uint64_t number) { under_way_.erase(number); }
  [[nodiscard]] bool any() const { return !under_way_.empty(); }
  // The number that the next one gets.
  [[nodiscard]] std::uint64_t next() const { return next_; }
  // All with lower numbers are over.
  [[nodiscard]] std::uint64_t first_under_way() const { return under_way_.empty() ? next_ : *under_way_.begin(); }

 private:
  std::set<std::uint64_t> under_way_;
  std::uint64_t next_ = 1;
};

}  // namespace p11shim
