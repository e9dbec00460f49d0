#include "tools/shimctl/run/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace p11shim {

namespace {

std::vector<std::string> environment_with(const std::map<std::string, std::optional<std::string>>& variables) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!variables.contains(std::string(text.substr(0, text.find('='))))) result.emplace_back(text);
  }
  for (const auto& [name, value] : variables) {
    if (value) result.push_back(name + "=" + *value);
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Between fork and exec: only what is safe there, and errno tells what failed.
bool become_service(const char* log, pid_t parent) {
  const int input = ::open("/dev/null", O_RDONLY);
  const int output = ::open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (input < 0 || output < 0) return false;
  if (::dup2(input, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 || ::dup2(output, STDERR_FILENO) < 0)
    return false;
  if (::setpgid(0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return false;
  return ::getppid() == parent;  // or it died before it could be watched
}

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options) {
  auto arguments = options.arguments;
  auto environment = environment_with(options.variables);
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  int failure[2];  // closed by a successful exec, otherwise it carries errno
  if (::pipe2(failure, O_CLOEXEC) != 0) throw NotExecuted{errno};

  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    errno = 0;
    if (options.service_log.empty() || become_service(options.service_log.c_str(), parent)) {
      ::sigprocmask(SIG_SETMASK, &options.blocked_signals, nullptr);
      ::execvpe(argv[0], argv.data(), envp.data());
    }
    const int error = errno;
    [[maybe_unused]] const ssize_t told = ::write(failure[1], &error, sizeof error);
    ::_exit(127);
  }
  const int fork_error = errno;
  ::close(failure[1]);
  int error = 0;
  ssize_t told;
  do {
    told = pid_ < 0 ? 0 : ::read(failure[0], &error, sizeof error);
  } while (told < 0 && errno == EINTR);
  ::close(failure[0]);
  if (pid_ < 0) throw NotExecuted{fork_error};
  if (told == 0) return;
  ::waitpid(pid_, nullptr, 0);
  throw NotExecuted{error};
}

ChildProcess::~ChildProcess() {
  if (exit_code()) return;
  signal(SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::signal(int number) {
  if (!exit_code_) ::kill(pid_, number);
}

std::optional<int> ChildProcess::exit_code() {
  int status = 0;
  if (exit_code_ || ::waitpid(pid_, &status, WNOHANG) != pid_) return exit_code_;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_code_;
}

}  // namespace p11shim
