#include "wire/message.h"

#include <algorithm>

namespace p11shim {
namespace {

constexpr std::size_t kHelloFields = 9;
constexpr std::size_t kWelcomeFields = 8;
constexpr std::size_t kRequestFields = 10;
constexpr std::size_t kReplyFields = 10;
constexpr std::size_t kAreaAnswerFields = 2;
constexpr std::size_t kRingsAnswerFields = 2;

void store_length(std::uint8_t* prefix, std::size_t length) {
  for (std::size_t i = 0; i < kLengthPrefix; ++i) prefix[i] = static_cast<std::uint8_t>(length >> (8 * i));
}

// Reserves the length prefix and fills it in when the frame (and `tail` bytes that follow elsewhere) is known.
class FrameWriter {
 public:
  FrameWriter(Buffer& to, MessageKind kind, std::size_t fields) : buffer_(to), start_(to.size()), out(to) {
    to.extend(kLengthPrefix);
    out.array(fields);
    out.uint(static_cast<std::uint64_t>(kind));
  }
  void finish(std::size_t tail = 0) {
    store_length(buffer_.data() + start_, buffer_.size() - start_ - kLengthPrefix + tail);
  }

 private:
  Buffer& buffer_;
  std::size_t start_;

 public:
  Out out;
};

// The header of a bin whose bytes are sent from elsewhere.
void bin_header(Buffer& to, std::size_t size) {
  msgpack::packer<Buffer>(to).pack_bin(static_cast<std::uint32_t>(size));
}

bool is_zero(const Id128& id) {
  return std::all_of(id.begin(), id.end(), [](std::uint8_t b) { return b == 0; });
}

void put_id(Out& out, const Id128& id) {
  if (is_zero(id)) return out.nil();
  out.bin(id.data(), id.size());
}

void take_id(In& in, Id128& id) {
  id.fill(0);
  if (in.nil_if()) return;
  const auto bytes = in.bin(id.size());
  if (bytes.size() != id.size()) return in.fail();
  std::copy(bytes.begin(), bytes.end(), id.begin());
}

void put_optional(Out& out, std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return out.nil();
  out.bin(bytes);
}

std::span<const std::uint8_t> take_optional(In& in) { return in.nil_if() ? std::span<const std::uint8_t>{} : in.bin(); }

In open(std::span<const std::uint8_t> frame, MessageKind kind, std::size_t fields) {
  In in(frame);
  in.array_of(fields);
  if (in.uint() != static_cast<std::uint64_t>(kind)) in.fail();
  return in;
}

}  // namespace

std::uint32_t load_length(const std::uint8_t* prefix) {
  return static_cast<std::uint32_t>(prefix[0]) | static_cast<std::uint32_t>(prefix[1]) << 8 |
         static_cast<std::uint32_t>(prefix[2]) << 16 | static_cast<std::uint32_t>(prefix[3]) << 24;
}

MessageKind message_kind(std::span<const std::uint8_t> frame) {
  In in(frame);
  in.array(16);
  return static_cast<MessageKind>(in.uint_max(UINT8_MAX));
}

void write_hello(Buffer& to, const Hello& hello) {
  FrameWriter frame(to, MessageKind::hello, kHelloFields);
  frame.out.uint(hello.version);
  frame.out.uint(hello.fingerprint);
  frame.out.uint(hello.word_size);
  put_id(frame.out, hello.instance);
  put_id(frame.out, hello.secret);
  put_id(frame.out, hello.parent);
  frame.out.uint(hello.pid);
  frame.out.str(hello.program.substr(0, limits::kMaxProgramName));
  frame.finish();
}

bool read_hello(std::span<const std::uint8_t> frame, Hello& hello) {
  In in = open(frame, MessageKind::hello, kHelloFields);
  hello.version = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  hello.fingerprint = in.uint();
  hello.word_size = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  take_id(in, hello.instance);
  take_id(in, hello.secret);
  take_id(in, hello.parent);
  hello.pid = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  hello.program = in.str(limits::kMaxProgramName);
  return in.done();
}

void write_welcome(Buffer& to, const Welcome& welcome) {
  FrameWriter frame(to, MessageKind::welcome, kWelcomeFields);
  frame.out.uint(welcome.version);
  frame.out.uint(welcome.fingerprint);
  frame.out.uint(welcome.rv);
  put_id(frame.out, welcome.secret);
  frame.out.uint(welcome.max_frame);
  frame.out.boolean(welcome.resumed);
  frame.out.str(welcome.reason);
  frame.finish();
}

bool read_welcome(std::span<const std::uint8_t> frame, Welcome& welcome) {
  In in = open(frame, MessageKind::welcome, kWelcomeFields);
  welcome.version = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  welcome.fingerprint = in.uint();
  welcome.rv = in.uint();
  take_id(in, welcome.secret);
  welcome.max_frame = in.uint();
  welcome.resumed = in.boolean();
  welcome.reason = in.str(1024);
  return in.done();
}

void write_goodbye(Buffer& to) { FrameWriter(to, MessageKind::goodbye, 1).finish(); }

void write_refusal(Buffer& to) { FrameWriter(to, MessageKind::refusal, 1).finish(); }

void write_generations_request(Buffer& to) { FrameWriter(to, MessageKind::generations_request, 1).finish(); }

void write_generations_answer(Buffer& to) { FrameWriter(to, MessageKind::generations_answer, 1).finish(); }

void write_area_request(Buffer& to) { FrameWriter(to, MessageKind::area_request, 1).finish(); }

void write_area_answer(Buffer& to, std::uint64_t size) {
  FrameWriter frame(to, MessageKind::area_answer, kAreaAnswerFields);
  frame.out.uint(size);
  frame.finish();
}

bool read_area_answer(std::span<const std::uint8_t> frame, std::uint64_t& size) {
  In in = open(frame, MessageKind::area_answer, kAreaAnswerFields);
  size = in.uint();
  return in.done();
}

void write_rings_request(Buffer& to) { FrameWriter(to, MessageKind::rings_request, 1).finish(); }

void write_rings_answer(Buffer& to, std::uint64_t size) {
  FrameWriter frame(to, MessageKind::rings_answer, kRingsAnswerFields);
  frame.out.uint(size);
  frame.finish();
}

bool read_rings_answer(std::span<const std::uint8_t> frame, std::uint64_t& size) {
  In in = open(frame, MessageKind::rings_answer, kRingsAnswerFields);
  size = in.uint();
  return in.done();
}

void write_bell_request(Buffer& to) { FrameWriter(to, MessageKind::bell_request, 1).finish(); }

void write_bell_answer(Buffer& to) { FrameWriter(to, MessageKind::bell_answer, 1).finish(); }

void write_request_head(Buffer& to, const Request& request) {
  FrameWriter frame(to, MessageKind::request, kRequestFields + (request.area != 0 ? 1 : 0));
  frame.out.uint(request.id);
  frame.out.uint(request.call);
  frame.out.uint(request.deadline_ms);
  put_id(frame.out, request.trace);
  if (request.has_mechanism) frame.out.uint(request.mechanism);
  else frame.out.nil();
  if (request.init != 0) {
    frame.out.array(request.ends ? 3 : 2);
    frame.out.uint(request.init);
    frame.out.bin(request.init_body);
    if (request.ends) frame.out.boolean(true);
  } else {
    frame.out.nil();
  }
  put_optional(frame.out, request.wanted);
  request.handles.write(frame.out);
  if (request.area != 0) frame.out.uint(request.area);
  bin_header(to, request.body.size());
  frame.finish(request.body.size());
}

bool read_request(std::span<const std::uint8_t> frame, Request& request) {
  In in(frame);
  const std::size_t fields = in.array(kRequestFields + 1);
  if (fields < kRequestFields || in.uint() != static_cast<std::uint64_t>(MessageKind::request)) in.fail();
  request.id = in.uint();
  request.call = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  request.deadline_ms = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  take_id(in, request.trace);
  request.has_mechanism = !in.nil_if();
  request.mechanism = request.has_mechanism ? in.uint() : 0;
  request.init = 0;
  request.init_body = {};
  request.ends = false;
  if (!in.nil_if()) {
    const std::size_t parts = in.array(3);
    request.init = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
    request.init_body = in.bin();
    if (parts == 3) request.ends = in.boolean();
    if (parts < 2 || request.init == 0) in.fail();
  }
  request.wanted = take_optional(in);
  request.handles.read(in, limits::kMaxRequestHandles);
  request.area = fields > kRequestFields ? in.uint() : 0;
  if (fields > kRequestFields && request.area == 0) in.fail();
  request.body = in.bin();
  return in.done();
}

void write_reply_head(Buffer& to, const Reply& reply) {
  FrameWriter frame(to, MessageKind::reply, kReplyFields + (reply.ended ? 1 : 0));
  frame.out.uint(reply.id);
  frame.out.uint(reply.rv);
  frame.out.uint(reply.init_rv);
  frame.out.uint(reply.queue_us);
  frame.out.uint(reply.hsm_us);
  reply.handles.write(frame.out);
  put_optional(frame.out, reply.annex);
  put_optional(frame.out, reply.values);
  if (reply.ended) frame.out.boolean(true);
  bin_header(to, reply.body.size());
  frame.finish(reply.body.size());
}

bool read_reply(std::span<const std::uint8_t> frame, Reply& reply) {
  In in(frame);
  const std::size_t fields = in.array(kReplyFields + 1);
  if (fields < kReplyFields || in.uint() != static_cast<std::uint64_t>(MessageKind::reply)) in.fail();
  reply.id = in.uint();
  reply.rv = in.uint();
  reply.init_rv = in.uint();
  reply.queue_us = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  reply.hsm_us = static_cast<std::uint32_t>(in.uint_max(UINT32_MAX));
  reply.handles.read(in, limits::kMaxHandles);
  reply.annex = take_optional(in);
  reply.values = take_optional(in);
  reply.ended = fields > kReplyFields && in.boolean();
  reply.body = in.bin();
  return in.done();
}

}  // namespace p11shim
