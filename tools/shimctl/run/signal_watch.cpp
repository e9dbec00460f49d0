#include "tools/shimctl/run/signal_watch.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

namespace p11shim {

SignalWatch::SignalWatch() {
  ::signal(SIGCHLD, SIG_DFL);  // ignored (by whoever started us), it would hide how our children end
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number :
       {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH}) {
    sigaddset(&watched, number);
  }
  ::sigprocmask(SIG_BLOCK, &watched, &before_);
  descriptor_ = ::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalWatch::~SignalWatch() {
  while (take()) {  // what is pending (SIGPIPE, of a last write that nobody read) would end us when unblocked
  }
  ::close(descriptor_);
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

void SignalWatch::wait(int other, std::optional<std::chrono::milliseconds> patience) const {
  pollfd waiting[] = {{.fd = descriptor_, .events = POLLIN, .revents = 0},
                      {.fd = other, .events = POLLIN, .revents = 0}};
  ::poll(waiting, 2, patience ? static_cast<int>(std::max<long>(patience->count(), 0)) : -1);
}

std::optional<ReceivedSignal> SignalWatch::take() const {
  signalfd_siginfo info{};
  if (::read(descriptor_, &info, sizeof info) != sizeof info) return std::nullopt;
  return ReceivedSignal{.number = static_cast<int>(info.ssi_signo), .from_terminal = info.ssi_code > 0};
}

}  // namespace p11shim
