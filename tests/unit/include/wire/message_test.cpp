// Frames: every kind survives its own round trip, is what docs/protocol.md says byte by byte, and what is
// malformed is refused.
#include "wire/message.h"

#include <gtest/gtest.h>

#include <msgpack.hpp>
#include <vector>

namespace p11shim {
namespace {

Id128 id_of(std::uint8_t first) {
  Id128 id;
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(first + i);
  return id;
}

const std::vector<std::uint8_t> kBody(300, 0xab);

Request some_request(std::span<const std::uint8_t> body) {
  Request request;
  request.id = 1234567;
  request.call = 44;
  request.deadline_ms = 30000;
  request.trace = id_of(1);
  request.has_mechanism = true;
  request.mechanism = 0x1041;
  request.wanted = std::span(kBody).first(4);
  request.handles.add(5);
  request.handles.add(1ull << 62);
  request.body = body;
  return request;
}

Hello some_hello() {
  Hello hello;
  hello.fingerprint = ~0ull;
  hello.word_size = 8;
  hello.instance = id_of(1);
  hello.secret = id_of(2);
  hello.parent = id_of(3);
  hello.pid = 4711;
  hello.program = "nginx";
  return hello;
}

// The frame behind its length prefix, which must be right.
std::vector<std::uint8_t> frame_of(const Buffer& buffer, std::span<const std::uint8_t> body = {}) {
  std::vector<std::uint8_t> frame(buffer.data() + kLengthPrefix, buffer.data() + buffer.size());
  frame.insert(frame.end(), body.begin(), body.end());
  EXPECT_EQ(load_length(buffer.data()), frame.size());
  return frame;
}

std::vector<std::uint8_t> request_frame() {
  Buffer buffer;
  write_request_head(buffer, some_request(kBody));
  return frame_of(buffer, kBody);
}

std::vector<std::uint8_t> reply_frame() {
  Reply reply;
  reply.id = 99;
  reply.rv = 0x150;
  reply.init_rv = 0x54;
  reply.queue_us = 12;
  reply.hsm_us = 345;
  reply.handles.add(8);
  reply.annex = std::span(kBody).first(3);
  reply.values = std::span(kBody).first(7);
  reply.body = kBody;
  Buffer buffer;
  write_reply_head(buffer, reply);
  return frame_of(buffer, kBody);
}

std::vector<std::uint8_t> hello_frame() {
  Buffer buffer;
  write_hello(buffer, some_hello());
  return frame_of(buffer);
}

std::vector<std::uint8_t> welcome_frame() {
  Welcome welcome;
  welcome.fingerprint = 77;
  welcome.rv = 0;
  welcome.secret = id_of(9);
  welcome.max_frame = 1 << 20;
  welcome.resumed = true;
  welcome.reason = "why";
  Buffer buffer;
  write_welcome(buffer, welcome);
  return frame_of(buffer);
}

TEST(Message, RequestSurvivesItsRoundTrip) {
  const auto frame = request_frame();
  EXPECT_EQ(message_kind(frame), MessageKind::request);
  Request request;
  ASSERT_TRUE(read_request(frame, request));
  EXPECT_EQ(request.id, 1234567u);
  EXPECT_EQ(request.call, 44u);
  EXPECT_EQ(request.deadline_ms, 30000u);
  EXPECT_EQ(request.trace, id_of(1));
  EXPECT_TRUE(request.has_mechanism);
  EXPECT_EQ(request.mechanism, 0x1041u);
  EXPECT_EQ(request.wanted.size(), 4u);
  ASSERT_EQ(request.handles.size(), 2u);
  EXPECT_EQ(request.handles[1], 1ull << 62);
  EXPECT_TRUE(std::equal(request.body.begin(), request.body.end(), kBody.begin(), kBody.end()));
}

TEST(Message, AnInitTravelsInFrontOfItsCall) {
  Request request = some_request(kBody);
  const std::vector<std::uint8_t> init(20, 0xcd);
  request.init = 43;
  request.init_body = init;
  Buffer buffer;
  write_request_head(buffer, request);
  const auto frame = frame_of(buffer, kBody);
  Request received;
  ASSERT_TRUE(read_request(frame, received));
  EXPECT_EQ(received.init, 43u);
  EXPECT_TRUE(std::equal(received.init_body.begin(), received.init_body.end(), init.begin(), init.end()));
  EXPECT_EQ(received.handles.size(), 2u);
  EXPECT_TRUE(std::equal(received.body.begin(), received.body.end(), kBody.begin(), kBody.end()));
  ASSERT_TRUE(read_request(request_frame(), received));
  EXPECT_EQ(received.init, 0u);
  EXPECT_TRUE(received.init_body.empty());
}

TEST(Message, AnOperationMayBeEndedWithItsOnlyMessage) {
  Request request = some_request(kBody);
  const std::vector<std::uint8_t> init(20, 0xcd);
  request.init = 83;
  request.init_body = init;
  request.ends = true;
  Buffer buffer;
  write_request_head(buffer, request);
  Request received;
  ASSERT_TRUE(read_request(frame_of(buffer, kBody), received));
  EXPECT_TRUE(received.ends);
  EXPECT_EQ(received.init_body.size(), init.size());
  ASSERT_TRUE(read_request(request_frame(), received));
  EXPECT_FALSE(received.ends);
  Reply reply;
  reply.ended = true;
  reply.body = kBody;
  Buffer answer;
  write_reply_head(answer, reply);
  Reply taken;
  ASSERT_TRUE(read_reply(frame_of(answer, kBody), taken));
  EXPECT_TRUE(taken.ended);
  EXPECT_EQ(taken.body.size(), kBody.size());
  ASSERT_TRUE(read_reply(reply_frame(), taken));
  EXPECT_FALSE(taken.ended);
}

TEST(Message, RequestWithoutMechanismAndTraceSaysSo) {
  Request sent;
  Buffer buffer;
  write_request_head(buffer, sent);
  Request request = some_request({});
  ASSERT_TRUE(read_request(frame_of(buffer), request));
  EXPECT_FALSE(request.has_mechanism);
  EXPECT_EQ(request.mechanism, 0u);
  EXPECT_EQ(request.trace, Id128{});
  EXPECT_TRUE(request.handles.empty());
  EXPECT_TRUE(request.body.empty());
}

TEST(Message, ReplySurvivesItsRoundTrip) {
  const auto frame = reply_frame();
  EXPECT_EQ(message_kind(frame), MessageKind::reply);
  Reply reply;
  ASSERT_TRUE(read_reply(frame, reply));
  EXPECT_EQ(reply.id, 99u);
  EXPECT_EQ(reply.init_rv, 0x54u);
  EXPECT_EQ(reply.annex.size(), 3u);
  EXPECT_EQ(reply.values.size(), 7u);
  EXPECT_EQ(reply.rv, 0x150u);
  EXPECT_EQ(reply.queue_us, 12u);
  EXPECT_EQ(reply.hsm_us, 345u);
  EXPECT_EQ(reply.handles.size(), 1u);
  EXPECT_EQ(reply.annex.size(), 3u);
  EXPECT_EQ(reply.body.size(), kBody.size());
}

TEST(Message, HelloSurvivesItsRoundTrip) {
  const auto frame = hello_frame();
  EXPECT_EQ(message_kind(frame), MessageKind::hello);
  Hello hello;
  ASSERT_TRUE(read_hello(frame, hello));
  const Hello sent = some_hello();
  EXPECT_EQ(hello.version, kProtocolVersion);
  EXPECT_EQ(hello.fingerprint, sent.fingerprint);
  EXPECT_EQ(hello.word_size, sent.word_size);
  EXPECT_EQ(hello.instance, sent.instance);
  EXPECT_EQ(hello.secret, sent.secret);
  EXPECT_EQ(hello.parent, sent.parent);
  EXPECT_EQ(hello.pid, sent.pid);
  EXPECT_EQ(hello.program, sent.program);
}

TEST(Message, ProgramNamesAreCut) {
  const std::string name(limits::kMaxProgramName + 1, 'x');
  Hello sent = some_hello();
  sent.program = name;
  Buffer buffer;
  write_hello(buffer, sent);
  const auto frame = frame_of(buffer);
  Hello hello;
  ASSERT_TRUE(read_hello(frame, hello));
  EXPECT_EQ(hello.program.size(), limits::kMaxProgramName);
}

TEST(Message, WelcomeSurvivesItsRoundTrip) {
  const auto frame = welcome_frame();
  EXPECT_EQ(message_kind(frame), MessageKind::welcome);
  Welcome welcome;
  ASSERT_TRUE(read_welcome(frame, welcome));
  EXPECT_EQ(welcome.version, kProtocolVersion);
  EXPECT_EQ(welcome.fingerprint, 77u);
  EXPECT_EQ(welcome.rv, 0u);
  EXPECT_EQ(welcome.secret, id_of(9));
  EXPECT_EQ(welcome.max_frame, 1u << 20);
  EXPECT_TRUE(welcome.resumed);
  EXPECT_EQ(welcome.reason, "why");
}

TEST(Message, GoodbyeHasTheDocumentedBytes) {
  Buffer buffer;
  write_goodbye(buffer);
  EXPECT_EQ(message_kind(frame_of(buffer)), MessageKind::goodbye);
  const std::vector<std::uint8_t> all(buffer.data(), buffer.data() + buffer.size());
  EXPECT_EQ(all, (std::vector<std::uint8_t>{2, 0, 0, 0, 0x91, 5}));
}

TEST(Message, RefusalHasTheDocumentedBytes) {
  Buffer buffer;
  write_refusal(buffer);
  EXPECT_EQ(message_kind(frame_of(buffer)), MessageKind::refusal);
  const std::vector<std::uint8_t> all(buffer.data(), buffer.data() + buffer.size());
  EXPECT_EQ(all, (std::vector<std::uint8_t>{2, 0, 0, 0, 0x91, 6}));
}

// The bytes that docs/protocol.md shows.
TEST(Message, RequestHasTheDocumentedBytes) {
  const std::uint8_t body[] = {0x20};
  Request request;
  request.id = 1;
  request.call = 14;
  request.deadline_ms = 30000;
  request.handles.add(5);
  request.body = body;
  Buffer buffer;
  write_request_head(buffer, request);
  const std::vector<std::uint8_t> all(buffer.data(), buffer.data() + buffer.size());
  EXPECT_EQ(all, (std::vector<std::uint8_t>{16, 0, 0, 0, 0x9a, 1, 1, 14, 0xcd, 0x75, 0x30, 0xc0, 0xc0, 0xc0, 0xc0, 0x91,
                                            5, 0xc4, 1}));
}

TEST(Message, MsgpackReadsEveryFrame) {
  for (const auto& frame : {request_frame(), reply_frame(), hello_frame(), welcome_frame()}) {
    std::size_t used = 0;
    const auto handle = msgpack::unpack(reinterpret_cast<const char*>(frame.data()), frame.size(), used);
    EXPECT_EQ(used, frame.size());
    EXPECT_EQ(handle.get().type, msgpack::type::ARRAY);
  }
}

bool reads(std::span<const std::uint8_t> frame) {
  Request request;
  Reply reply;
  Hello hello;
  Welcome welcome;
  return read_request(frame, request) || read_reply(frame, reply) || read_hello(frame, hello) ||
         read_welcome(frame, welcome);
}

TEST(Message, TruncatedFramesAreRefused) {
  for (const auto& frame : {request_frame(), reply_frame(), hello_frame(), welcome_frame()})
    for (std::size_t size = 0; size < frame.size(); ++size) {
      const std::vector<std::uint8_t> cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(reads(cut)) << size;
    }
}

TEST(Message, FramesWithSomethingBehindThemAreRefused) {
  for (auto frame : {request_frame(), reply_frame(), hello_frame(), welcome_frame()}) {
    ASSERT_TRUE(reads(frame));
    frame.push_back(0xc0);
    EXPECT_FALSE(reads(frame));
  }
}

TEST(Message, NoReaderTakesAnotherKind) {
  Request request;
  Reply reply;
  Hello hello;
  Welcome welcome;
  EXPECT_FALSE(read_request(reply_frame(), request));
  EXPECT_FALSE(read_reply(request_frame(), reply));
  EXPECT_FALSE(read_hello(welcome_frame(), hello));
  EXPECT_FALSE(read_welcome(hello_frame(), welcome));
}

TEST(Message, TooManyHandlesAreRefused) {
  Request sent;
  for (std::size_t i = 0; i <= limits::kMaxRequestHandles; ++i) sent.handles.add(i);
  Buffer buffer;
  write_request_head(buffer, sent);
  Request request;
  EXPECT_FALSE(read_request(frame_of(buffer), request));
}

TEST(Message, AnIdHasSixteenBytes) {
  auto frame = hello_frame();
  // [9 fields, kind, version, 9 bytes of fingerprint, word size, bin8 16 …]: the instance's size.
  ASSERT_EQ(frame[13], 0xc4);
  ASSERT_EQ(frame[14], 16);
  frame[14] = 15;
  frame.erase(frame.begin() + 15);
  Hello hello;
  EXPECT_FALSE(read_hello(frame, hello));
}

}  // namespace
}  // namespace p11shim
