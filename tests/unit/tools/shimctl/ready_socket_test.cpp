#include "tools/shimctl/run/ready_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/run/private_folder.h"

namespace p11shim {
namespace {

class ReadySocketTest : public testing::Test {
 protected:
  PrivateFolder folder;
  ReadySocket ready{folder / "notify.sock"};

  void say(std::string_view message) {
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, ready.path().c_str());
    EXPECT_EQ(
        ::sendto(socket, message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address),
        static_cast<ssize_t>(message.size()));
    ::close(socket);
  }
};

TEST_F(ReadySocketTest, IsReadyOnceTold) {
  EXPECT_FALSE(ready.is_ready());
  say("STATUS=opening tokens");
  EXPECT_FALSE(ready.is_ready());
  say("MAINPID=1\nREADY=1\nSTATUS=serving");
  EXPECT_TRUE(ready.is_ready());
  say("STOPPING=1");
  EXPECT_TRUE(ready.is_ready());
}

TEST_F(ReadySocketTest, IsNotFooledByOtherWords) {
  say("STATUS=not READY=1");
  say("READY=10");
  say("XREADY=1");
  EXPECT_FALSE(ready.is_ready());
}

TEST(ReadySocket, RefusesAPlaceThatCannotBe) {
  EXPECT_THROW(ReadySocket("/none/notify.sock"), Failure);
  EXPECT_THROW(ReadySocket("/tmp/" + std::string(200, 'x')), Failure);
}

}  // namespace
}  // namespace p11shim
