// Who may have a descriptor when they run short. A new one has the lowest number that is free: its number says how many there are.
// From `first_kept` on they are for workers, files and the control socket; applications wait, or go without shared memory.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace p11shim {

struct Descriptors {
  int first_kept = INT_MAX;

  // `most` for ourselves, but never more than half of all.
  void keep(std::size_t most) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const auto all = static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
    first_kept = static_cast<int>(all - std::min(most, all / 2));
  }

  [[nodiscard]] bool keeps(int descriptor) const { return descriptor >= first_kept; }
  // Of the next one that somebody gets. `any`: a descriptor that is open.
  [[nodiscard]] bool keeps_next(int any) const {
    const int next = ::fcntl(any, F_DUPFD_CLOEXEC, 0);
    if (next >= 0) ::close(next);
    return next < 0 || keeps(next);
  }
  // What an application asked for. -1: it is kept for ourselves.
  [[nodiscard]] int allow(int descriptor) const {
    if (descriptor < 0 || !keeps(descriptor)) return descriptor;
    ::close(descriptor);
    return -1;
  }
};

}  // namespace p11shim
