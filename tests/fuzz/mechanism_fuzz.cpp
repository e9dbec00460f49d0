// Covers decode_mechanism, decode_message_parameter and what follows them: encoding again, outputs there and
// back, the text. Whatever a worker accepts is a mechanism that travels on unchanged. First byte: how many
// handles come with the message, and in its highest bit whether it is the parameter of a message function.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "calls/mechanism_codec.h"
#include "calls/mechanism_text.h"

namespace {

using namespace p11shim;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Sent {
  Buffer bytes;
  Handles handles;
};

bool equal(const Buffer& a, const Buffer& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

void encode(bool message, Sent& sent, const CK_MECHANISM& mechanism) {
  Out out(sent.bytes);
  message ? encode_message_parameter(out, sent.handles, mechanism) : encode_mechanism(out, sent.handles, mechanism);
}

// True if the worker would call the module.
bool decode(bool message, std::span<const std::uint8_t> bytes, Handles& handles, Arena& arena,
            CK_MECHANISM& mechanism) {
  In in(bytes);
  message ? decode_message_parameter(in, handles, arena, mechanism) : decode_mechanism(in, handles, arena, mechanism);
  return in.done() && handles.done();
}

void send_back(bool message, const CK_MECHANISM& mechanism) {
  Sent back;
  Out out(back.bytes);
  message ? encode_message_parameter_outputs(out, back.handles, mechanism)
          : encode_mechanism_outputs(out, back.handles, mechanism);
  In in(back.bytes.bytes());
  message ? decode_message_parameter_outputs(in, back.handles, mechanism)
          : decode_mechanism_outputs(in, back.handles, mechanism);
  require(in.done() && back.handles.done());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool message = (data[0] & 0x80) != 0;
  Handles handles;
  for (int i = 0; i < (data[0] & 0x7f); ++i) handles.add(100 + i);
  Arena arena;
  CK_MECHANISM mechanism;
  if (!decode(message, {data + 1, size - 1}, handles, arena, mechanism)) return 0;
  if (!message) require(!describe_mechanism(mechanism).empty());

  Sent first, second;
  encode(message, first, mechanism);
  Arena again;
  CK_MECHANISM same;
  require(decode(message, first.bytes.bytes(), first.handles, again, same));
  encode(message, second, same);
  require(equal(first.bytes, second.bytes));
  send_back(message, mechanism);
  return 0;
}
