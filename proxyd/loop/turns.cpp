#include "proxyd/loop/turns.h"

#include <algorithm>
#include <utility>

namespace p11shim {

Turns::Turns(uv_loop_t& loop, std::size_t most) : most_(most), idle_(new uv_idle_t) {
  uv_idle_init(&loop, idle_.get());
  idle_->data = this;
}

void Turns::add(Taker& taker) {
  if (std::exchange(taker.waits_, true)) return;
  waiting_.push_back(&taker);
  uv_idle_start(idle_.get(), [](uv_idle_t* idle) {
    if (idle->data != nullptr) static_cast<Turns*>(idle->data)->serve();
  });
}

void Turns::remove(Taker& taker) {
  taker.waits_ = false;
  std::erase(waiting_, &taker);
  std::replace(serving_.begin(), serving_.end(), &taker, static_cast<Taker*>(nullptr));
}

// Whoever is served may add and remove any; who is added now has the next turn.
void Turns::serve() {
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(most_, waiting_.size()));
  serving_.assign(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  for (std::size_t i = 0; i < serving_.size(); ++i) {
    if (serving_[i] == nullptr) continue;
    serving_[i]->waits_ = false;
    serving_[i]->on_turn();
  }
  serving_.clear();
  if (waiting_.empty()) uv_idle_stop(idle_.get());
}

}  // namespace p11shim
