#include "terminal.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace p11shim {

using Clock = std::chrono::steady_clock;

Terminal::Terminal(const std::vector<std::string>& arguments, const Variables& variables, unsigned short lines,
                   unsigned short columns) {
  winsize size{.ws_row = lines, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  std::vector<std::string> texts = arguments;
  std::vector<char*> argv;
  for (auto& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
  if (pid_ < 0) throw std::runtime_error("forkpty");
  if (pid_ > 0) return;
  ::setenv("TERM", "xterm", 1);
  ::unsetenv("COLUMNS");
  ::unsetenv("NO_COLOR");
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  ::execvp(argv[0], argv.data());
  ::_exit(99);
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(master_);
}

bool Terminal::read(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd waiting{.fd = master_, .events = POLLIN, .revents = 0};
  if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[4096];
  const ssize_t length = ::read(master_, buffer, sizeof buffer);
  if (length <= 0) return false;  // EIO: nobody has the terminal open any more
  shown.append(buffer, static_cast<std::size_t>(length));
  return true;
}

bool Terminal::wait_for(const std::string& text) {
  const auto deadline = Clock::now() + kPatience;
  while (shown.find(text) == std::string::npos)
    if (!read(deadline)) return false;
  return true;
}

void Terminal::type(const std::string& text) {
  if (::write(master_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("write");
}

bool Terminal::echoes() const {
  termios state{};
  return ::tcgetattr(master_, &state) == 0 && (state.c_lflag & ECHO) != 0;
}

int Terminal::wait() {
  const auto deadline = Clock::now() + kPatience;
  while (read(deadline)) {
  }
  int status = 0;
  for (;;) {
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) break;
    if (ended < 0 || Clock::now() > deadline) return -1;
    std::this_thread::yield();
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace p11shim
