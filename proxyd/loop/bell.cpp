#include "proxyd/loop/bell.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace p11shim {
std::unique_ptr<Bell> Bell::make(uv_loop_t& loop, RingWatch& watch) {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor < 0 ? nullptr : std::unique_ptr<Bell>(new Bell(loop, watch, descriptor));
}

Bell::Bell(uv_loop_t& loop, RingWatch& watch, int descriptor)
    : loop_(loop), watch_(watch), descriptor_(descriptor), poll_(loop, descriptor, [this](int) { rung(); }) {
  poll_.watch(UV_READABLE);
}

Bell::~Bell() {
  poll_.watch(0);
  ::close(descriptor_);
}

// libuv tells of a descriptor until it was read. Told only when it is rung, we need not read it: one system call less for each
// message. Should that ever not be so, it is read when there is no message.
void Bell::rung() {
  watch_.wake();
  if (!at_each_ring_) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = descriptor_;
    at_each_ring_ = ::epoll_ctl(uv_backend_fd(&loop_), EPOLL_CTL_MOD, descriptor_, &event) == 0;
  } else if (watch_.has_message()) {
    return;
  }
  std::uint64_t count;
  if (::read(descriptor_, &count, sizeof count) < 0) return;  // nobody has rung since
}

}  // namespace p11shim
