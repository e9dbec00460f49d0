// Covers decode_template, encode_template, decode_query, encode_answers and decode_answers. A template that
// is understood survives being sent on; a query is answered by a module that fills everything, and the
// answers fit those who asked; any bytes are taken as answers to a fixed query without a byte being written
// beyond it.
#include <cstdint>
#include <cstdlib>

#include "call_arguments.h"

namespace p11shim::fuzz {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void as_template(std::span<const std::uint8_t> bytes) {
  In in(bytes);
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_template(in, arena, attributes, count);
  if (!in.done()) return;
  read_template(attributes, count);

  Buffer first, second;
  Out out(first);
  encode_template(out, attributes, count);
  In again(first.bytes());
  decode_template(again, arena, attributes, count);
  require(again.done());
  Out out_again(second);
  encode_template(out_again, attributes, count);
  require(first.size() == second.size() && std::memcmp(first.data(), second.data(), first.size()) == 0);
}

void as_query(std::span<const std::uint8_t> bytes) {
  In in(bytes);
  Arena arena;
  CK_ATTRIBUTE_PTR attributes = nullptr;
  CK_ULONG count = 0;
  decode_query(in, arena, attributes, count);
  if (!in.done() || attributes == nullptr) return;
  fill_template(attributes, count);
  Buffer answers;
  Out out(answers);
  encode_answers(out, attributes, count);
  // Who asked has the same template: the copies behind the module's.
  In reply(answers.bytes());
  decode_answers(reply, attributes + count, count);
  require(reply.done());
}

void as_answers(std::span<const std::uint8_t> bytes) {
  Argument<QueryTemplate> asked;
  In in(bytes);
  decode_answers(in, asked.attributes.data(), asked.attributes.size());
}

}  // namespace
}  // namespace p11shim::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  p11shim::fuzz::as_template({data, size});
  p11shim::fuzz::as_query({data, size});
  p11shim::fuzz::as_answers({data, size});
  return 0;
}
