#include "proxyd/daemon/own_pin.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "wire/limits.h"

namespace p11shim {
namespace {

constexpr std::chrono::milliseconds kLook{5};

struct Descriptor {
  explicit Descriptor(int descriptor) : fd(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void close() {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  int fd;
};

[[noreturn]] void fail(const MemberConfig& member, const std::string& what) {
  throw std::runtime_error("member " + member.name + ": its PIN cannot be read: " + what);
}

using Clock = std::chrono::steady_clock;

// Everything up to the first line end.
Buffer read_line(const MemberConfig& member, int fd, Clock::time_point until) {
  Buffer line;
  line.mark_secret();
  std::uint8_t byte = 0;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    const int ready = ::poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (ready == 0) fail(member, "it does not come in time");
    const ssize_t count = ready < 0 ? -1 : ::read(fd, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(member, std::strerror(errno));
    if (count == 0 || byte == '\n') break;
    if (line.size() >= limits::kMaxPin) fail(member, "it is too long");
    line.append(&byte, 1);
  }
  wipe(&byte, sizeof byte);
  if (line.empty()) fail(member, "it is empty");
  return line;
}

Buffer read_file(const MemberConfig& member, const std::string& path, Clock::time_point until) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) fail(member, path + ": " + std::strerror(errno));
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) fail(member, path + ": " + std::strerror(errno));
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) fail(member, path + " belongs to another user");
  if ((status.st_mode & S_IRWXO) != 0) fail(member, path + " is open to others; chmod 0600 it");
  return read_line(member, file.fd, until);
}

// Neither what systemd tells proxyd (NOTIFY_SOCKET, WATCHDOG_…, LISTEN_…) nor what is set for modules is the command's
// business; what else it needs, `env NAME=value` as its first words gives it.
std::vector<std::string> command_environment() {
  constexpr std::array kPassed = {"HOME", "USER", "LOGNAME", "LANG", "CREDENTIALS_DIRECTORY"};
  std::vector<std::string> entries{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const char* name : kPassed)
    if (const char* value = ::getenv(name)) entries.push_back(std::string(name) + "=" + value);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// A process group that is killed unless it has ended by itself. It has proxyd's error output, no input and no other descriptor (those
// that systemd has passed are not closed by exec), and signals do to it what they usually do.
class Command {
 public:
  Command(const MemberConfig& member, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<std::string> words = member.pin_command;
    std::vector<std::string> environment = command_environment();
    const int error = ::posix_spawn(&child_, words[0].c_str(), &actions, &attributes, pointers(words).data(),
                                    pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) child_ = 0, fail(member, words[0] + ": " + std::strerror(error));
  }
  ~Command() {
    if (child_ <= 0) return;
    ::kill(-child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // None: not in time.
  std::optional<int> wait(Clock::time_point until) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(child_, &status, WNOHANG)) != child_) {
      if (ended < 0 && errno != EINTR) break;
      if (Clock::now() >= until) return std::nullopt;
      std::this_thread::sleep_for(kLook);
    }
    child_ = 0;
    return status;
  }

 private:
  pid_t child_ = 0;
};

Buffer run_command(const MemberConfig& member, Clock::time_point until) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) fail(member, std::strerror(errno));
  const Descriptor reading(pipe[0]);
  Descriptor writing(pipe[1]);
  Command command(member, writing.fd);
  writing.close();
  Buffer pin = read_line(member, reading.fd, until);
  const auto status = command.wait(until);
  if (!status) fail(member, member.pin_command[0] + " does not end in time");
  if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0) fail(member, member.pin_command[0] + " failed");
  return pin;
}

}  // namespace

Buffer read_own_pin(const MemberConfig& member, std::chrono::milliseconds longest) {
  const auto until = Clock::now() + longest;
  if (!member.pin_file.empty()) return read_file(member, member.pin_file, until);
  if (!member.pin_command.empty()) return run_command(member, until);
  const char* directory = ::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr)
    fail(member,
         "pin_credential is set, but systemd passed no credentials (LoadCredential=" + member.pin_credential + ":…)");
  return read_file(member, std::string(directory) + "/" + member.pin_credential, until);
}

}  // namespace p11shim
