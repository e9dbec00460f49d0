// Covers Bulk::bytes, In::reference_if, In::skip and put_in_line: bodies whose byte strings may be references into memory that a
// hostile peer shares. Whatever is read lies in the message or in the area, and both ways of reading agree.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "wire/area.h"

namespace p11shim {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool lies_in(std::span<const std::uint8_t> part, std::span<const std::uint8_t> whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace
}  // namespace p11shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  constexpr std::size_t kArea = 3 * Bulk::kLeast;
  constexpr std::size_t kMost = 1 << 20;
  static std::vector<std::uint8_t> memory(kArea);
  const std::span<const std::uint8_t> body(data, size);
  Bulk bulk;
  bulk.attach(memory);

  Buffer plain;
  const bool has_all = put_in_line(body, memory, kMost, plain);
  In in(body);
  In again(plain.bytes());
  while (in.ok() && in.remaining() != 0) {
    const std::uint8_t tag = in.peek();
    const bool is_bytes = tag == 0xd7 || (tag >= 0xc4 && tag <= 0xc6);
    if (!is_bytes) {
      in.skip();
      if (has_all) again.skip();
      continue;
    }
    const auto bytes = bulk.bytes(in, kMost);
    require(lies_in(bytes, body) || lies_in(bytes, memory));
    require(bulk.taken() <= kArea);
    if (!has_all || !in.ok()) break;
    const auto copy = again.bin();
    require(again.ok() && copy.size() == bytes.size());
  }
  if (has_all && in.ok()) require(again.done());
  return 0;
}
