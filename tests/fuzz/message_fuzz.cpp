// Covers read_hello, read_welcome, read_request, read_reply, read_area_answer, read_rings_answer and message_kind: what they accept, the writers write again
// with the same meaning, so that no two readers of a frame can understand it differently.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "wire/message.h"

namespace p11shim {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}
bool same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}
bool same(const Handles& a, const Handles& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

std::span<const std::uint8_t> frame_of(Buffer& buffer, std::span<const std::uint8_t> body = {}) {
  buffer.append(body.data(), body.size());
  require(load_length(buffer.data()) == buffer.size() - kLengthPrefix);
  return buffer.bytes().subspan(kLengthPrefix);
}

void check(const Hello& hello) {
  Buffer buffer;
  write_hello(buffer, hello);
  Hello again;
  require(read_hello(frame_of(buffer), again));
  require(again.fingerprint == hello.fingerprint && again.instance == hello.instance && again.secret == hello.secret &&
          again.parent == hello.parent && again.pid == hello.pid && again.program == hello.program);
}

void check(const Welcome& welcome) {
  Buffer buffer;
  write_welcome(buffer, welcome);
  Welcome again;
  require(read_welcome(frame_of(buffer), again));
  require(again.rv == welcome.rv && again.secret == welcome.secret && again.max_frame == welcome.max_frame &&
          again.resumed == welcome.resumed && again.reason == welcome.reason);
}

void check(const Request& request) {
  Buffer buffer;
  write_request_head(buffer, request);
  Request again;
  require(read_request(frame_of(buffer, request.body), again));
  require(again.id == request.id && again.call == request.call && again.deadline_ms == request.deadline_ms &&
          again.trace == request.trace && again.has_mechanism == request.has_mechanism &&
          again.mechanism == request.mechanism && again.area == request.area && same(again.handles, request.handles) &&
          same(again.body, request.body));
}

void check(const Reply& reply) {
  Buffer buffer;
  write_reply_head(buffer, reply);
  Reply again;
  require(read_reply(frame_of(buffer, reply.body), again));
  require(again.id == reply.id && again.rv == reply.rv && same(again.handles, reply.handles) &&
          same(again.annex, reply.annex) && same(again.body, reply.body));
}

// The size of an area or of rings.
void check(std::uint64_t size, void (*write)(Buffer&, std::uint64_t),
           bool (*read)(std::span<const std::uint8_t>, std::uint64_t&)) {
  Buffer buffer;
  write(buffer, size);
  std::uint64_t again = size + 1;
  require(read(frame_of(buffer), again) && again == size);
}

}  // namespace
}  // namespace p11shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  const std::span<const std::uint8_t> frame(data, size);
  Hello hello;
  Welcome welcome;
  Request request;
  Reply reply;
  std::uint64_t memory = 0;
  int understood = 0;
  if (read_hello(frame, hello)) check(hello), ++understood;
  if (read_welcome(frame, welcome)) check(welcome), ++understood;
  if (read_request(frame, request)) check(request), ++understood;
  if (read_reply(frame, reply)) check(reply), ++understood;
  if (read_area_answer(frame, memory)) check(memory, &write_area_answer, &read_area_answer), ++understood;
  if (read_rings_answer(frame, memory)) check(memory, &write_rings_answer, &read_rings_answer), ++understood;
  require(understood <= 1);
  const MessageKind kind = message_kind(frame);
  require(understood == 0 || (kind >= MessageKind::request && kind <= MessageKind::bell_answer));
  return 0;
}
