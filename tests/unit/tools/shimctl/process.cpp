#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace p11shim {

using Clock = std::chrono::steady_clock;

namespace {

struct Pipe {
  int from, to;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    from = ends[0];
    to = ends[1];
  }
};

void close_end(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

void take(int& descriptor, std::string& into) {
  char buffer[4096];
  const ssize_t length = ::read(descriptor, buffer, sizeof buffer);
  if (length > 0) into.append(buffer, static_cast<std::size_t>(length));
  if (length == 0 || (length < 0 && errno != EINTR)) close_end(descriptor);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Variables& variables) {
  const Pipe input, output, errors;
  std::vector<std::string> texts = arguments;
  std::vector<char*> argv;
  for (auto& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(input.from, STDIN_FILENO);
    ::dup2(output.to, STDOUT_FILENO);
    ::dup2(errors.to, STDERR_FILENO);
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
    ::execvp(argv[0], argv.data());
    ::_exit(99);
  }
  ::close(input.from);
  ::close(output.to);
  ::close(errors.to);
  input_ = input.to;
  output_ = output.from;
  errors_ = errors.from;
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_end(input_);
  close_end(output_);
  close_end(errors_);
}

void Process::send(const std::string& text) {
  if (::write(input_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) throw std::runtime_error("write");
}

void Process::end_input() { close_end(input_); }

void Process::close_errors() { close_end(errors_); }

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);  // -1, after wait(), would be everybody
}

bool Process::read(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  if (left <= 0 || (output_ < 0 && errors_ < 0)) return false;
  pollfd waiting[] = {{.fd = output_, .events = POLLIN, .revents = 0}, {.fd = errors_, .events = POLLIN, .revents = 0}};
  if (::poll(waiting, 2, static_cast<int>(left)) <= 0) return errno == EINTR;
  if (waiting[0].revents != 0) take(output_, out);
  if (waiting[1].revents != 0) take(errors_, err);
  return true;
}

bool Process::wait_for_output(const std::string& text) {
  const auto deadline = Clock::now() + kPatience;
  while (out.find(text) == std::string::npos) {
    if (!read(deadline)) return false;
  }
  return true;
}

int Process::wait() {
  if (pid_ <= 0) return code_;
  const auto deadline = Clock::now() + kPatience;
  while (read(deadline)) {
  }
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) break;
    if (Clock::now() > deadline) return -1;
    std::this_thread::yield();
  }
  pid_ = -1;
  return code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace p11shim
