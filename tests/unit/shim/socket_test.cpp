// Waiting, and what is told of a transfer that failed.
#include "shim/socket.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_proxyd.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLong{60000};
constexpr milliseconds kShort{20};

// Listens on a loopback port that the kernel chooses, and never speaks.
class SilentTcp {
 public:
  SilentTcp() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 4) != 0)
      throw std::runtime_error("listen");
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~SilentTcp() { close(listener_); }
  [[nodiscard]] ShimEndpoint endpoint() const { return {"", TcpAddress{"127.0.0.1", port_}}; }
  int accept() { return ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC); }

 private:
  int listener_;
  std::uint16_t port_ = 0;
};

const std::uint8_t kFrame[] = {1, 0, 0, 0, 0x90};

TEST(Socket, SaysWhyItCannotConnect) {
  Socket socket;
  EXPECT_EQ(socket.connect({"/nonexistent/socket", {}}, kLong), ENOENT);
  EXPECT_EQ(socket.connect({std::string(200, 'x'), {}}, kLong), EINVAL);
  EXPECT_FALSE(socket.is_open());
}

TEST(Socket, AReceiveEndsAtItsLimit) {
  SilentTcp peer;
  Socket socket;
  ASSERT_EQ(socket.connect(peer.endpoint(), kLong), 0);
  ASSERT_EQ(socket.send(kFrame, {}, kLong), Transfer::done);
  Buffer message;
  EXPECT_EQ(socket.receive(message, kShort), Transfer::timed_out);
}

TEST(Socket, ASendThatNobodyReadsEndsAtItsLimit) {
  SilentTcp peer;
  Socket socket;
  ASSERT_EQ(socket.connect(peer.endpoint(), kLong), 0);
  const std::vector<std::uint8_t> large(32 << 20);
  EXPECT_EQ(socket.send(kFrame, large, kShort), Transfer::timed_out);
}

TEST(Socket, ATcpConnectionThatWasClosedWhileIdleIsUnsent) {
  SilentTcp peer;
  Socket socket;
  ASSERT_EQ(socket.connect(peer.endpoint(), kLong), 0);
  close(peer.accept());
  socket.wait_until_closed(kLong);
  EXPECT_EQ(socket.send(kFrame, {}, kLong), Transfer::unsent);
}

TEST(Socket, ATcpConnectionThatIsClosedAfterTheRequestIsBroken) {
  SilentTcp peer;
  Socket socket;
  ASSERT_EQ(socket.connect(peer.endpoint(), kLong), 0);
  ASSERT_EQ(socket.send(kFrame, {}, kLong), Transfer::done);
  close(peer.accept());
  Buffer message;
  EXPECT_EQ(socket.receive(message, kLong), Transfer::broken);
}

TEST(Socket, ShuttingDownEndsAReceiveInAnotherThread) {
  SilentTcp peer;
  Socket socket;
  ASSERT_EQ(socket.connect(peer.endpoint(), kLong), 0);
  std::thread other([&] { socket.shut_down(); });
  Buffer message;
  EXPECT_EQ(socket.receive(message, kLong), Transfer::broken);
  other.join();
}

// As far as its sender knows, the descriptor has come.
TEST(Socket, ADescriptorThatCannotBeReceivedEndsTheMessage) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("socket-" + std::to_string(getpid()));
  std::filesystem::create_directory(directory);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory / "s").string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  Socket socket;
  ASSERT_EQ(socket.connect({address.sun_path, {}}, kLong), 0);
  const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_TRUE(send_with_descriptor(peer, kFrame, listener));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = dup(peer);
  close(lowest_free);
  const rlimit none_left{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  Buffer message;
  int descriptor = -1;
  const Transfer received = socket.receive(message, kLong, descriptor);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(received, Transfer::broken);
  EXPECT_EQ(descriptor, -1);
  ASSERT_TRUE(send_with_descriptor(peer, kFrame, listener));
  EXPECT_EQ(socket.receive(message, kLong, descriptor), Transfer::done);
  EXPECT_GE(descriptor, 0);
  for (const int each : {descriptor, peer, listener}) close(each);
  std::filesystem::remove_all(directory);
}

TEST(Socket, AClosedSocketSendsNothing) {
  Socket socket;
  EXPECT_EQ(socket.send(kFrame, {}, kLong), Transfer::unsent);
  socket.shut_down();
  socket.close();
}

TEST(Socket, AUnixSocketTellsThatTheRequestWasNotRead) {
  FakeProxyd proxyd;
  proxyd.on(1, [](const Request&) { return std::nullopt; });
  Socket socket;
  ASSERT_EQ(socket.connect({proxyd.path(), {}}, kLong), 0);
  // Two requests at once: the fake reads the first and closes with the second unread, as a proxyd that stops
  // does.
  Buffer frames;
  Request request;
  request.call = 1;
  write_request_head(frames, request);
  write_request_head(frames, request);
  ASSERT_EQ(socket.send(frames.bytes(), {}, kLong), Transfer::done);
  Buffer message;
  EXPECT_EQ(socket.receive(message, kLong), Transfer::unsent);
}

}  // namespace
}  // namespace p11shim
