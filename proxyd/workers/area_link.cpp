#include "proxyd/workers/area_link.h"

#include "proxyd/loop/socket_io.h"

namespace p11shim {

void AreaLink::open(int socket) {
  close();
  socket_ = socket;
}

void AreaLink::close() {
  told_.clear();
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

bool AreaLink::share(const std::shared_ptr<const ClientArea>& area) {
  if (socket_ < 0) return false;
  if (told_.contains(area->id)) return true;
  if (!send_with_descriptor(socket_, &area->id, sizeof area->id, area->descriptor)) return false;
  told_.emplace(area->id, area);
  return true;
}

void AreaLink::sweep() {
  std::erase_if(told_, [this](const auto& each) {
    return each.second.expired() && send_with_descriptor(socket_, &each.first, sizeof each.first, -1);
  });
}

}  // namespace p11shim
