#include "tools/shimctl/doctor/module_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "tools/pkcs11/module.h"

namespace p11shim {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void load_and_tell(const std::string& path, const std::string& parameters, int result) {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, fd);
  std::string why = "+";
  try {
    const Module module(path, parameters);
  } catch (const std::exception& error) {
    why = error.what();
  }
  if (::write(result, why.data(), std::min<std::size_t>(why.size(), 512)) < 0) ::_exit(1);
  ::_exit(0);
}

// What the child says until it ends; nothing if it ends without a word or takes too long.
std::string listen(int result, Clock::time_point deadline) {
  std::string text;
  std::array<char, 512> chunk;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{.fd = result, .events = POLLIN, .revents = 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) == 0) return text;
    const ssize_t size = ::read(result, chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

std::string try_module(const std::string& path, const std::string& library_parameters,
                       std::chrono::milliseconds patience) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::string("cannot be tried: ") + std::strerror(errno);
  const pid_t child = ::fork();
  if (child == 0) load_and_tell(path, library_parameters, ends[1]);
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return "cannot be tried: fork failed";
  }
  const auto deadline = Clock::now() + patience;
  std::string said = listen(ends[0], deadline);
  ::close(ends[0]);
  const bool late = said.empty() && Clock::now() >= deadline;
  if (late || !said.empty()) ::kill(child, SIGKILL);  // it has said all that it had to say
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return "hangs in C_Initialize";
  if (said == "+") return {};
  if (!said.empty()) return said;
  return WIFSIGNALED(status) ? "crashes with signal " + std::to_string(WTERMSIG(status))
                             : "ends the process with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace p11shim
