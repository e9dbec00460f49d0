#include "proxyd/worker/areas.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace p11shim {
namespace {

constexpr std::chrono::seconds kLongestWait{10};  // proxyd tells of an area before it sends the first request

// What came with a message: one descriptor or none.
int descriptor_of(msghdr& message) {
  const cmsghdr* control = CMSG_FIRSTHDR(&message);
  if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) return -1;
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(control), sizeof descriptor);
  return descriptor;
}

}  // namespace

void Areas::follow(int socket) {
  for (;;) {
    std::uint64_t id = 0;
    iovec part{&id, sizeof id};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof id) break;
    const int descriptor = descriptor_of(message);
    std::shared_ptr<Area> area;
    if (descriptor >= 0) {
      area = std::make_shared<Area>();
      if (!area->map(descriptor)) area.reset();
      ::close(descriptor);
    }
    const bool is_over = descriptor < 0 && (message.msg_flags & MSG_CTRUNC) == 0;
    const std::lock_guard lock(mutex_);
    if (is_over) areas_.erase(id);
    else areas_[id] = std::move(area);
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

std::shared_ptr<const Area> Areas::find(std::uint64_t id) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLongestWait, [&] { return ended_ || areas_.contains(id); });
  const auto found = areas_.find(id);
  return found != areas_.end() ? found->second : nullptr;
}

}  // namespace p11shim
