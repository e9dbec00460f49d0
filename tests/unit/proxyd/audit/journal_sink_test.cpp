// The journal's socket has one fixed place. Each test runs in a child with a mount namespace of its own,
// where /run is an empty directory; without the right to make one, it is skipped.
#include "proxyd/audit/journal_sink.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace p11shim {
namespace {

constexpr int kSkipped = 77;
constexpr char kSocket[] = "/run/systemd/journal/socket";

bool enter_private_run() {
  if (::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("none", "/run", "tmpfs", 0, nullptr) == 0;
}

int status_in_private_run(const std::function<bool()>& test) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(!enter_private_run() ? kSkipped : test() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int bind_journal() {
  ::mkdir("/run/systemd", 0755);
  ::mkdir("/run/systemd/journal", 0755);
  const int journal = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, kSocket, sizeof kSocket);
  return ::bind(journal, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? journal : -1;
}

std::vector<std::string> received(int journal) {
  std::vector<std::string> datagrams;
  char buffer[4096];
  for (ssize_t length; (length = ::recv(journal, buffer, sizeof buffer, 0)) >= 0;) {
    datagrams.emplace_back(buffer, static_cast<std::size_t>(length));
  }
  return datagrams;
}

TEST(JournalSink, SendsOneEntryPerLine) {
  const int status = status_in_private_run([] {
    const int journal = bind_journal();
    JournalSink().write("{\"n\":1}\n{\"n\":2}\n");
    return received(journal) ==
           std::vector<std::string>{"MESSAGE={\"n\":1}\nSYSLOG_IDENTIFIER=p11shim-audit\nPRIORITY=6\n",
                                    "MESSAGE={\"n\":2}\nSYSLOG_IDENTIFIER=p11shim-audit\nPRIORITY=6\n"};
  });
  if (status == kSkipped) GTEST_SKIP() << "no right to make a mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(JournalSink, SaysWhenThereIsNoJournal) {
  const int status = status_in_private_run([] {
    try {
      JournalSink().write("{}\n");
      return false;
    } catch (const AuditSinkError& error) {
      return std::string(error.what()).find(kSocket) != std::string::npos;
    }
  });
  if (status == kSkipped) GTEST_SKIP() << "no right to make a mount namespace";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace p11shim
