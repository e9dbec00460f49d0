#include "proxyd/daemon/own_pin.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "wire/limits.h"

extern char** environ;  // NOLINT: POSIX

namespace p11shim {
namespace {

[[noreturn]] void fail(const MemberConfig& member, const std::string& what) {
  throw std::runtime_error("member " + member.name + ": its PIN cannot be read: " + what);
}

// Everything up to the first line end.
Buffer read_line(const MemberConfig& member, int fd) {
  Buffer line;
  line.mark_secret();
  std::uint8_t byte = 0;
  for (;;) {
    const ssize_t count = ::read(fd, &byte, 1);
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

Buffer read_file(const MemberConfig& member, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(member, path + ": " + std::strerror(errno));
  struct stat status {};
  const bool open_to_others = ::fstat(fd, &status) != 0 || (status.st_mode & S_IRWXO) != 0;
  if (open_to_others) {
    ::close(fd);
    fail(member, path + " is open to others; chmod 0600 it");
  }
  Buffer pin = read_line(member, fd);
  ::close(fd);
  return pin;
}

Buffer run_command(const MemberConfig& member) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) fail(member, std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  std::vector<std::string> words = member.pin_command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (error != 0) {
    ::close(pipe[0]);
    fail(member, words[0] + ": " + std::strerror(error));
  }
  Buffer pin = read_line(member, pipe[0]);
  ::close(pipe[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail(member, words[0] + " failed");
  return pin;
}

}  // namespace

Buffer read_own_pin(const MemberConfig& member) {
  if (!member.pin_file.empty()) return read_file(member, member.pin_file);
  if (!member.pin_command.empty()) return run_command(member);
  const char* directory = ::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) fail(member, "pin_credential is set, but systemd passed no credentials (LoadCredential=" + member.pin_credential + ":…)");
  return read_file(member, std::string(directory) + "/" + member.pin_credential);
}

}  // namespace p11shim
