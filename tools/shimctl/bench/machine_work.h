// A fixed piece of work that knows nothing of tokens: how long it takes is the speed of the machine itself, of which
// frequency, neighbours on the same core and a hypervisor take tens of per cent from one second to the next.
//
// Three quarters are the multiplication of large numbers, as in RSA and on curves, one is other arithmetic with loads
// from the first cache. It takes the processor's units as operations do, so that what slows these slows it about as much.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "wire/processor_waits.h"

namespace p11shim {

class MachineWork {
 public:
  MachineWork();

  // What a piece takes in nanoseconds of processor time, some 40,000. Look at several: an interrupt may lengthen one.
  double time();
  // Of all that was computed; the same everywhere after as many times.
  std::uint64_t result() const;

  // Times are comparable only with those of the same work, made by the same compiler: "1, GCC 12.2.0".
  static std::string name();

 private:
  std::array<std::uint64_t, 512> words_;
};

// How long the thread that asks has been ready to run while others had the processor.
class ProcessorWait {
 public:
  // In nanoseconds, since it last asked; 0 the first time, and if the kernel does not say. Always the same thread.
  std::uint64_t since_last();

 private:
  ProcessorAccount account_;
  bool asked_ = false;
  std::uint64_t last_ = 0;
};

}  // namespace p11shim
