#include "proxyd/applications/linger.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace p11shim {
namespace {
constexpr std::chrono::milliseconds kPatience{5000};
}

std::unique_ptr<Linger> Linger::start(Runtime& runtime, pid_t process, std::function<void()> end) {
  if (process <= 0) return nullptr;
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, process, 0u));
  if (fd < 0) return nullptr;
  pollfd exited{fd, POLLIN, 0};
  if (::poll(&exited, 1, 0) != 0) {
    ::close(fd);
    return nullptr;
  }
  return std::unique_ptr<Linger>(new Linger(runtime, fd, std::move(end)));
}

Linger::Linger(Runtime& runtime, int process, std::function<void()> end)
    : process_(process),
      end_(std::move(end)),
      exited_(runtime.loop, process, [this](int) { over(); }),
      patience_(runtime.loop, [this] { over(); }) {
  exited_.watch(UV_READABLE);
  exited_.unref();
  patience_.start(kPatience);
  patience_.unref();
}

Linger::~Linger() {
  exited_.watch(0);
  ::close(process_);
}

void Linger::over() {
  const auto end = std::move(end_);
  end();
}

}  // namespace p11shim
