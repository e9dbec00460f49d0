#include "proxyd/loop/socket_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "wire/message.h"

namespace p11shim {
namespace {

class SocketIo : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    near = {ends[0], ends[0]};
    far = ends[1];
  }
  void TearDown() override {
    ::close(near.in);
    if (far >= 0) ::close(far);
  }
  static Buffer frame(std::size_t size) {
    Buffer bytes;
    for (std::size_t i = 0; i < kLengthPrefix; ++i) {
      const auto byte = static_cast<std::uint8_t>(size >> (8 * i));
      bytes.append(&byte, 1);
    }
    const std::vector<std::uint8_t> content(size, 0x5a);
    bytes.append(content.data(), content.size());
    return bytes;
  }
  void put(std::span<const std::uint8_t> bytes) const {
    ASSERT_EQ(::send(far, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::size_t take_all() const {
    std::size_t total = 0;
    std::vector<std::uint8_t> room(1 << 16);
    for (ssize_t count; (count = ::recv(far, room.data(), room.size(), 0)) > 0;)
      total += static_cast<std::size_t>(count);
    return total;
  }
  Stream near;
  int far = -1;
  Buffer input, unsent;
};

TEST_F(SocketIo, FrameArrivesInPieces) {
  const Buffer whole = frame(100);
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    put(whole.bytes().subspan(i, 1));
    ASSERT_EQ(receive_frame(near, input, 1000), Received::partial) << i;
  }
  put(whole.bytes().last(1));
  EXPECT_EQ(receive_frame(near, input, 1000), Received::frame);
  EXPECT_EQ(input.size(), whole.size());
}

TEST_F(SocketIo, SecondFrameWaitsBehindTheFirst) {
  Buffer two = frame(10);
  const Buffer second = frame(20);
  two.append(second.data(), second.size());
  put(two.bytes());
  ASSERT_EQ(receive_frame(near, input, 1000), Received::frame);
  input.consume(kLengthPrefix + 10);
  ASSERT_EQ(receive_frame(near, input, 1000), Received::frame);
  EXPECT_EQ(load_length(input.data()), 20u);
}

TEST_F(SocketIo, LengthsThatNobodyMaySendAreMalformed) {
  for (const std::uint32_t length : {0u, 1001u, 0xffffffffu}) {
    std::uint8_t prefix[kLengthPrefix];
    for (std::size_t i = 0; i < kLengthPrefix; ++i) prefix[i] = static_cast<std::uint8_t>(length >> (8 * i));
    Buffer fresh;
    fresh.append(prefix, sizeof prefix);
    EXPECT_EQ(receive_frame(near, fresh, 1000), Received::malformed) << length;
    EXPECT_LT(fresh.capacity(), 100'000u);
  }
}

TEST_F(SocketIo, EndOfThePeerIsToldAfterWhatItSent) {
  const Buffer whole = frame(5);
  put(whole.bytes());
  ::close(std::exchange(far, -1));
  EXPECT_EQ(receive_frame(near, input, 1000), Received::frame);
  input.clear();
  EXPECT_EQ(receive_frame(near, input, 1000), Received::closed);
}

TEST_F(SocketIo, WhatTheStreamDoesNotTakeIsSentLater) {
  const std::vector<std::uint8_t> body(8 << 20, 1);
  std::size_t sent = 0;
  for (int round = 0; round < 3; ++round) {
    Buffer head = frame(3);
    sent += head.size() + body.size();
    ASSERT_TRUE(send_parts(near, head, body, unsent));
  }
  ASSERT_FALSE(unsent.empty());
  std::size_t arrived = 0;
  for (int i = 0; i < 10'000 && arrived < sent; ++i) {
    arrived += take_all();
    ASSERT_TRUE(send_buffered(near, unsent));
  }
  arrived += take_all();
  EXPECT_EQ(arrived, sent);
  EXPECT_TRUE(unsent.empty());
}

TEST_F(SocketIo, PeerThatIsGoneIsNoticedWhenSending) {
  ::close(std::exchange(far, -1));
  Buffer head = frame(3);
  EXPECT_FALSE(send_parts(near, head, {}, unsent));
  unsent.append(head.data(), head.size());
  EXPECT_FALSE(send_buffered(near, unsent));
}

}  // namespace
}  // namespace p11shim
