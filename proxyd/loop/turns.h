// Those who have more to do than they may do in one turn of the loop: each goes on once in the next turn, in the order in which
// they came, and the loop does not sleep meanwhile. Or no more of them than `most` in one turn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proxyd/loop/handles.h"

namespace p11shim {

class Turns {
 public:
  class Taker {
   public:
    Taker() = default;
    Taker(const Taker&) = delete;
    Taker& operator=(const Taker&) = delete;
    virtual ~Taker() = default;
    [[nodiscard]] bool waits_for_turn() const { return waits_; }

   protected:
    friend class Turns;
    virtual void on_turn() = 0;

   private:
    bool waits_ = false;
  };

  explicit Turns(uv_loop_t& loop, std::size_t most = SIZE_MAX);
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  void add(Taker& taker);
  // Before it goes.
  void remove(Taker& taker);

 private:
  void serve();

  const std::size_t most_;
  std::vector<Taker*> waiting_;
  std::vector<Taker*> serving_;  // null: it went away meanwhile
  HandlePtr<uv_idle_t> idle_;
};

}  // namespace p11shim
