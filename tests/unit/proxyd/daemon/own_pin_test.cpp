#include "proxyd/daemon/own_pin.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "tests/unit/proxyd/config/private_directory.h"

namespace p11shim {
namespace {

class OwnPin : public PrivateDirectory {
 protected:
  static std::string text(const Buffer& pin) { return {reinterpret_cast<const char*>(pin.data()), pin.size()}; }
  static MemberConfig command(const std::string& script) {
    MemberConfig member;
    member.name = "hsm";
    member.pin_command = {"/bin/sh", "-c", script};
    return member;
  }
  static std::string failure(const MemberConfig& member,
                             std::chrono::milliseconds limit = std::chrono::milliseconds(30'000)) {
    try {
      read_own_pin(member, limit);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "none";
  }
  static bool no_children() { return ::waitpid(-1, nullptr, WNOHANG) < 0; }
};

TEST_F(OwnPin, IsTheFirstLineOfAFileThatOthersCannotRead) {
  MemberConfig member;
  member.pin_file = write("pin", "1234\nrest\n");
  EXPECT_EQ(text(read_own_pin(member)), "1234");
  member.pin_file = write("bare", "5678");
  EXPECT_EQ(text(read_own_pin(member)), "5678");
  member.pin_file = write("open", "1234\n", 0644);
  EXPECT_NE(failure(member).find("is open to others"), std::string::npos);
  if (::geteuid() == 0) {
    member.pin_file = write("given", "1234\n");
    ASSERT_EQ(::chown(member.pin_file.c_str(), 65534, -1), 0);
    EXPECT_NE(failure(member).find("belongs to another user"), std::string::npos);
  }
  member.pin_file = write("empty", "\n");
  EXPECT_NE(failure(member).find("it is empty"), std::string::npos);
  member.pin_file = path("missing");
  EXPECT_NE(failure(member).find("missing"), std::string::npos);
}

TEST_F(OwnPin, IsWhatACommandPrintsFirst) {
  EXPECT_EQ(text(read_own_pin(command("echo 1234; echo more"))), "1234");
  EXPECT_NE(failure(command("echo 1234; exit 3")).find("failed"), std::string::npos);
  EXPECT_NE(failure(command("exit 0")).find("it is empty"), std::string::npos);
  EXPECT_NE(failure(command("yes | tr -d '\\n'")).find("too long"), std::string::npos);
  EXPECT_TRUE(no_children());
}

// Not what systemd tells the service, nor its sockets.
TEST_F(OwnPin, CommandKnowsNothingOfTheService) {
  constexpr const char* kSet[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS",
                                  "LISTEN_PID",    "P11SHIM_CONF", "SOFTHSM2_CONF", "CREDENTIALS_DIRECTORY"};
  for (const char* name : kSet) ::setenv(name, "seen", 1);
  int passed[2];
  ASSERT_EQ(::pipe(passed), 0);  // not closed by exec
  const std::string names =
      text(read_own_pin(command("tr '\\0' '\\n' </proc/$$/environ | cut -d= -f1 | tr '\\n' ' '")));
  EXPECT_EQ(names.rfind("PATH ", 0), 0U) << names;
  EXPECT_NE(names.find("CREDENTIALS_DIRECTORY "), std::string::npos) << names;
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "P11SHIM_", "SOFTHSM2_CONF"})
    EXPECT_EQ(names.find(name), std::string::npos) << names;
  EXPECT_EQ(text(read_own_pin(command("read -r line; echo \"input: $line\""))), "input: ");
  EXPECT_EQ(text(read_own_pin(command("[ -e /proc/self/fd/" + std::to_string(passed[0]) + " ] || echo closed"))),
            "closed");
  // The C library itself ignores two that are above.
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(text(read_own_pin(command("grep SigIgn: /proc/self/status | tail -c 8"))), "0000000");
  std::signal(SIGPIPE, before);
  for (const int descriptor : passed) ::close(descriptor);
  for (const char* name : kSet) ::unsetenv(name);
}

// The service does not wait for ever for a command that hangs, before or after it has printed the PIN.
TEST_F(OwnPin, CommandThatHangsIsKilled) {
  const auto limit = std::chrono::milliseconds(50);
  EXPECT_NE(failure(command("sleep 1000"), limit).find("in time"), std::string::npos);
  EXPECT_NE(failure(command("echo 1234; exec sleep 1000"), limit).find("in time"), std::string::npos);
  EXPECT_NE(failure(command("echo 1234; exec >&-; sleep 1000"), limit).find("in time"), std::string::npos);
  EXPECT_TRUE(no_children());
}

TEST_F(OwnPin, IsACredentialOfSystemd) {
  MemberConfig member;
  member.pin_credential = "hsm-pin";
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_NE(failure(member).find("hsm-pin"), std::string::npos);
  write("hsm-pin", "1234");
  ::setenv("CREDENTIALS_DIRECTORY", directory_.c_str(), 1);
  EXPECT_EQ(text(read_own_pin(member)), "1234");
  ::unsetenv("CREDENTIALS_DIRECTORY");
}

}  // namespace
}  // namespace p11shim
