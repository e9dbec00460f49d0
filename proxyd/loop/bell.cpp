#include "proxyd/loop/bell.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
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

// libuv tells of a descriptor until it was read. Told only when it is rung, and the first time once more, we need not read it. That
// is well, since whoever rings shares the description: it may have made it block, and have read it since we were told. Should
// the registration ever fail, it is read so that it cannot block.
void Bell::rung() {
  watch_.wake();
  if (at_each_ring_) return;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = descriptor_;
  at_each_ring_ = ::epoll_ctl(uv_backend_fd(&loop_), EPOLL_CTL_MOD, descriptor_, &event) == 0;
  if (at_each_ring_ || watch_.has_message()) return;
  std::uint64_t count = 0;
  const iovec part{&count, sizeof count};
  if (::preadv2(descriptor_, &part, 1, -1, RWF_NOWAIT) < 0) return;  // nobody has rung since
}

}  // namespace p11shim
