// proxyd's side of the page of generations (wire/generations.h).
#pragma once

#include "wire/generations.h"

namespace p11shim {

class Generations {
 public:
  Generations();
  ~Generations();
  Generations(const Generations&) = delete;
  Generations& operator=(const Generations&) = delete;

  // What applications may remember of this slot is no longer true. Before the call that changed it is answered.
  void moved(std::uint64_t slot) { ++page_->of(slot); }
  void all_moved();
  void token_moved(std::uint64_t slot) { moved(GenerationPage::token_of(slot)); }
  void slots_moved() { moved(GenerationPage::kSlots); }

  // Sealed memory that can be mapped for reading; -1: this kernel cannot do that, and nobody is to have it.
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  GenerationPage own_{};  // where there is no shared one
  GenerationPage* page_ = &own_;
  int descriptor_ = -1;
};

}  // namespace p11shim
