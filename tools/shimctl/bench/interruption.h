// ^C while something is measured: the run ends early and says so. The second one ends the process.
#pragma once

#include "tools/shimctl/run/signal_watch.h"

namespace p11shim {

class Interruption {
 public:
  const SignalWatch& signals() const { return signals_; }
  bool happened();
  int signal() const { return number_; }  // 0: none

 private:
  SignalWatch signals_;
  int number_ = 0;
};

}  // namespace p11shim
