// What was done in an operation that is not over, so that another member can take it over. Only in balanced pools.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "calls/policy.h"
#include "proxyd/objects/state_directory.h"
#include "wire/buffer.h"

namespace p11shim {

struct RecordedCall {
  std::uint32_t call = 0;
  bool has_mechanism = false;
  std::uint64_t mechanism = 0;
  std::vector<std::uint64_t> objects;  // virtual handles
  Buffer body;                         // wiped with it: it is data
  bool compares = true;                // false: the application was given nothing by it
  Identity output{};                   // hash of what the application was given; another member must give the same

  // What it takes to keep it.
  [[nodiscard]] std::size_t size() const {
    return sizeof *this + body.capacity() + objects.capacity() * sizeof objects[0];
  }
};

// Bytes that are kept for a user, who is charged for them as long as this lives.
class Charge {
 public:
  Charge() = default;
  explicit Charge(std::shared_ptr<std::uint64_t> to) : to_(std::move(to)) {}
  Charge(Charge&& other) noexcept : to_(std::move(other.to_)), bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(to_, other.to_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (to_ != nullptr) *to_ -= bytes_;
  }
  void add(std::size_t bytes) {
    bytes_ += bytes;
    if (to_ != nullptr) *to_ += bytes;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<std::uint64_t> to_;
  std::size_t bytes_ = 0;
};

struct ReplayRecord {
  Operation operation = Operation::none;
  bool replayable = true;  // false: too long, or it cannot be done a second time
  Charge charge;
  std::vector<RecordedCall> calls;
};

}  // namespace p11shim
