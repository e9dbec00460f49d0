// The handles of one message, kept apart from its body so that proxyd can rewrite them and forward the body unread.
// Order in a request: the session (or slot) first, then objects in the order of the C arguments, those inside a
// mechanism parameter where the mechanism stands. In a reply: the objects returned, in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wire/in.h"
#include "wire/limits.h"
#include "wire/out.h"

namespace p11shim {

// Set in the handles of session objects, as applications know them, and in no other.
inline constexpr std::uint64_t kSessionObjectBit = std::uint64_t{1} << 62;

class Handles {
 public:
  void add(std::uint64_t handle) { values_.push_back(handle); }
  // The next handle in order; a message with too few of them is malformed.
  std::uint64_t take() {
    if (next_ == values_.size()) {
      exhausted_ = true;
      return 0;
    }
    return values_[next_++];
  }
  void clear() {
    values_.clear();
    next_ = 0;
    exhausted_ = false;
  }

  // Every handle was taken, and none too many.
  [[nodiscard]] bool done() const { return !exhausted_ && next_ == values_.size(); }
  [[nodiscard]] bool exhausted() const { return exhausted_; }
  [[nodiscard]] std::size_t remaining() const { return values_.size() - next_; }
  [[nodiscard]] std::size_t size() const { return values_.size(); }
  [[nodiscard]] bool empty() const { return values_.empty(); }
  std::uint64_t& operator[](std::size_t index) { return values_[index]; }
  const std::uint64_t& operator[](std::size_t index) const { return values_[index]; }
  [[nodiscard]] auto begin() const { return values_.begin(); }
  [[nodiscard]] auto end() const { return values_.end(); }

  void write(Out& out) const {
    out.array(values_.size());
    for (const std::uint64_t handle : values_) out.uint(handle);
  }
  void read(In& in, std::size_t max) {
    clear();
    for (std::size_t count = in.array(max); count != 0 && in.ok(); --count) values_.push_back(in.uint());
  }

 private:
  std::vector<std::uint64_t> values_;
  std::size_t next_ = 0;
  bool exhausted_ = false;
};

}  // namespace p11shim
