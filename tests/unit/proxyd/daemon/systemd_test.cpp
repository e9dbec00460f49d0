// What systemd hears and hands over, with this test in the place of systemd.
#include "proxyd/daemon/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "tests/unit/proxyd/config/private_directory.h"

namespace p11shim {
namespace {

class Systemd : public PrivateDirectory {
 protected:
  void SetUp() override {
    PrivateDirectory::SetUp();
    socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of("notify");
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path("notify").c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
    ::close(socket);
    PrivateDirectory::TearDown();
  }
  sockaddr_un address_of(const std::string& name) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path(name).c_str(), sizeof address.sun_path - 1);
    return address;
  }
  std::string heard() const {
    char text[1024];
    const ssize_t count = ::recv(socket, text, sizeof text, MSG_DONTWAIT);
    return count <= 0 ? std::string() : std::string(text, static_cast<std::size_t>(count));
  }
  int socket = -1;
};

TEST_F(Systemd, HearsWhatHappens) {
  notify_ready("serving");
  EXPECT_EQ(heard(), "READY=1\nSTATUS=serving");
  notify_reloading();
  const std::string reloading = heard();
  EXPECT_EQ(reloading.find("RELOADING=1\nMONOTONIC_USEC="), 0u) << reloading;
  notify_watchdog();
  EXPECT_EQ(heard(), "WATCHDOG=1");
  notify_stopping();
  EXPECT_EQ(heard(), "STOPPING=1");
}

TEST_F(Systemd, WatchdogIsFedTwiceAsOftenAsItAsks) {
  EXPECT_EQ(watchdog_interval(), std::nullopt);
  ::setenv("WATCHDOG_USEC", "20000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::milliseconds(10'000));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(watchdog_interval(), std::nullopt);  // another process is meant
}

TEST_F(Systemd, WithoutItNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  notify_ready("serving");
  notify_watchdog();
  EXPECT_TRUE(passed_sockets().empty());
}

// In a child, since descriptor 3 is where systemd puts the first one.
TEST_F(Systemd, PassedListeningSocketsAreTakenOthersAreNot) {
  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un address = address_of("activated");
  ASSERT_EQ(::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listening, 1), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int first = ::fcntl(listening, F_DUPFD, 10), second = ::fcntl(socket, F_DUPFD, 10);
    if (::dup2(first, 3) != 3 || ::dup2(second, 4) != 4) ::_exit(2);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    const std::vector<int> sockets = passed_sockets();
    const bool one = sockets == std::vector<int>{3};
    const bool prepared = one && (::fcntl(3, F_GETFL) & O_NONBLOCK) != 0 && ::fcntl(3, F_GETFD) == FD_CLOEXEC;
    // The variables are for this process: its children see none of them.
    ::_exit(prepared && ::getenv("LISTEN_FDS") == nullptr ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(listening);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace p11shim
