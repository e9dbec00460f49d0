// Covers Ring::take and Ring::put: memory that a hostile peer has filled, header and all. What is taken is a whole frame of a
// size that fits, and the ring serves the next message whatever was in it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "wire/message.h"
#include "wire/ring.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  static RingMemory memory;
  std::memcpy(static_cast<void*>(&memory), data, std::min(size, sizeof memory));
  Ring ring(memory);
  Buffer taken;
  if (ring.look() == Ring::Look::message && ring.take(taken)) {
    require(taken.size() > kLengthPrefix && taken.size() <= Ring::kRoom);
    require(kLengthPrefix + load_length(taken.data()) == taken.size());
  }
  ring.close();
  memory.state = 0;
  ring.open();
  const std::uint8_t frame[] = {1, 0, 0, 0, 0x90};
  require(ring.put(frame, {}));
  Buffer next;
  require(ring.take(next) && next.size() == sizeof frame && std::memcmp(next.data(), frame, sizeof frame) == 0);
  return 0;
}
