#include "shim/log.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

namespace p11shim {
namespace {

constexpr std::array kPriorities{LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_ERR};  // by LogLevel

// A log that is a broken pipe must not end the application.
class PipeSignalBlocked {
 public:
  PipeSignalBlocked() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  PipeSignalBlocked(const PipeSignalBlocked&) = delete;
  PipeSignalBlocked& operator=(const PipeSignalBlocked&) = delete;
  ~PipeSignalBlocked() {
    const timespec now{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

void to_descriptor(int descriptor, std::string_view text, LogLevel level) {
  char head[96];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::size_t size = std::strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%SZ", &utc);
  size += static_cast<std::size_t>(
      std::snprintf(head + size, sizeof head - size, " p11shim[%d] %.*s: ", static_cast<int>(getpid()),
                    static_cast<int>(kLogLevels[static_cast<std::size_t>(level)].first.size()),
                    kLogLevels[static_cast<std::size_t>(level)].first.data()));
  const PipeSignalBlocked blocked;
  char end = '\n';
  const iovec parts[3] = {{head, size}, {const_cast<char*>(text.data()), text.size()}, {&end, 1}};
  if (writev(descriptor, parts, 3) < 0) return;  // there is nobody left to tell
}

void to_file(const std::string& path, std::string_view text, LogLevel level) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  if (descriptor < 0) return;
  to_descriptor(descriptor, text, level);
  close(descriptor);
}

void to_syslog(std::string_view text, LogLevel level) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "/dev/log");
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  char head[64];
  const int size =
      std::snprintf(head, sizeof head, "<%d>p11shim[%d]: ", LOG_USER | kPriorities[static_cast<std::size_t>(level)],
                    static_cast<int>(getpid()));
  iovec parts[2] = {{head, static_cast<std::size_t>(size)}, {const_cast<char*>(text.data()), text.size()}};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = sizeof address;
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  close(descriptor);
}

}  // namespace

void log_line(const ShimConfig& config, LogLevel level, std::string_view text) noexcept {
  if (!logs(config, level)) return;
  switch (config.log.kind) {
    case ShimLogSink::Kind::off: return;
    case ShimLogSink::Kind::standard_error: return to_descriptor(STDERR_FILENO, text, level);
    case ShimLogSink::Kind::file: return to_file(config.log.path, text, level);
    case ShimLogSink::Kind::syslog: return to_syslog(text, level);
  }
}

}  // namespace p11shim
