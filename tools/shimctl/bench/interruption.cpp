#include "tools/shimctl/bench/interruption.h"

#include <cstdlib>

namespace p11shim {

bool Interruption::happened() {
  while (const auto signal = signals_.take()) {
    if (!signal->asks_to_end()) continue;
    if (number_ != 0) std::_Exit(128 + signal->number);  // the module may never answer
    number_ = signal->number;
  }
  return number_ != 0;
}

}  // namespace p11shim
