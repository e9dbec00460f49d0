// Covers read_load_order, read_loaded_module, read_slots and read_description: what a worker, in which foreign code runs, can
// tell proxyd. What they accept is written again with the same meaning.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "calls/lane_calls.h"

namespace p11shim {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}
bool same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// Written again, it is read again, and written a third time it is the same bytes.
template <class T, class Read, class Write>
void check(std::span<const std::uint8_t> bytes, Read read, Write write) {
  T value{};
  In in(bytes);
  if (!read(in, value)) return;
  Buffer once, twice;
  Out first(once), second(twice);
  write(first, value);
  T again{};
  In back(once.bytes());
  require(read(back, again));
  write(second, again);
  require(same(once.bytes(), twice.bytes()));
}

}  // namespace
}  // namespace p11shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  const std::span<const std::uint8_t> bytes(data, size);
  check<LoadOrder>(bytes, &read_load_order, &write_load_order);
  check<LoadedModule>(bytes, &read_loaded_module, &write_loaded_module);
  check<std::vector<SlotEntry>>(bytes, &read_slots, &write_slots);
  check<Description>(bytes, &read_description, &write_description);
  // An annex is read to its end.
  In in(bytes);
  Description description;
  std::size_t count = 0;
  while (in.remaining() != 0 && read_description(in, description)) require(++count <= size);
  return 0;
}
