#include "proxyd/control/listening_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace p11shim {
namespace {

namespace fs = std::filesystem;

class ListeningSocketTest : public testing::Test {
 protected:
  fs::path folder = [] {
    std::string name = fs::temp_directory_path() / "listening_socket_test.XXXXXX";
    return fs::path(::mkdtemp(name.data()));
  }();
  std::string path = folder / "socket";

  ~ListeningSocketTest() override { fs::remove_all(folder); }

  static struct stat status_of(const std::string& file) {
    struct stat status {};
    EXPECT_EQ(::lstat(file.c_str(), &status), 0);
    return status;
  }
  std::string failure(const std::string& place) {
    try {
      ::close(bind_unix_socket(place, 0600, std::nullopt));
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
};

TEST_F(ListeningSocketTest, HasTheModeWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  const int socket = bind_unix_socket(path, 0660, std::nullopt);
  ::umask(before);
  EXPECT_EQ(status_of(path).st_mode & 07777, 0660u);
  EXPECT_NE(::fcntl(socket, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(socket, F_GETFL) & O_NONBLOCK, 0);
  ::close(socket);
}

TEST_F(ListeningSocketTest, BelongsToTheGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file to any group";
  ::close(bind_unix_socket(path, 0660, gid_t{54321}));
  EXPECT_EQ(status_of(path).st_gid, 54321u);
}

TEST_F(ListeningSocketTest, ReplacesADeadProcesssFile) {
  ::close(bind_unix_socket(path, 0600, std::nullopt));
  ASSERT_TRUE(fs::exists(path));
  const int socket = bind_unix_socket(path, 0600, std::nullopt);
  EXPECT_EQ(::listen(socket, 1), 0);
  ::close(socket);
}

TEST_F(ListeningSocketTest, LeavesALivingProcesssFileAlone) {
  const int living = bind_unix_socket(path, 0600, std::nullopt);
  ASSERT_EQ(::listen(living, 1), 0);
  const auto before = status_of(path).st_ino;
  EXPECT_NE(failure(path).find("another process is listening there"), std::string::npos);
  EXPECT_EQ(status_of(path).st_ino, before);
  ::close(living);
}

TEST_F(ListeningSocketTest, RemovesNothingThatIsNoSocket) {
  std::ofstream(path) << "precious";
  EXPECT_NE(failure(path).find("no socket"), std::string::npos);
  EXPECT_TRUE(fs::is_regular_file(path));
}

TEST_F(ListeningSocketTest, SaysWhatIsWrongWithThePath) {
  EXPECT_NE(failure(folder / std::string(200, 'x')).find("may have 107 bytes"), std::string::npos);
  EXPECT_NE(failure("").find("empty"), std::string::npos);
  EXPECT_EQ(failure("/proc/none/socket"), "cannot listen on /proc/none/socket: No such file or directory");
}

}  // namespace
}  // namespace p11shim
