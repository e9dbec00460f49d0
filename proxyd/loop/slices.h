// A long piece of work, done in slices between which the loop serves others: one slice in each turn of the loop, of whatever
// work is under way.
#pragma once

#include <functional>
#include <utility>

#include "proxyd/loop/turns.h"

namespace p11shim {

class Slices final : private Turns::Taker {
 public:
  // Does one slice. False: there are no more; then nothing of this is touched any more.
  using Slice = std::function<bool()>;

  explicit Slices(Turns& turns) : turns_(turns) {}
  ~Slices() override { cancel(); }

  // The first is done in the next turn. There must be no other work under way.
  void begin(Slice slice) {
    slice_ = std::move(slice);
    turns_.add(*this);
  }
  void cancel() {
    if (waits_for_turn()) turns_.remove(*this);
    slice_ = nullptr;
  }

 private:
  void on_turn() override {
    Slice slice = std::exchange(slice_, nullptr);
    if (slice()) begin(std::move(slice));
  }

  Turns& turns_;
  Slice slice_;
};

}  // namespace p11shim
