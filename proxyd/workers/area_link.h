// proxyd's end of the socket over which a worker process is told of areas.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "proxyd/workers/client_area.h"

namespace p11shim {

class AreaLink {
 public:
  AreaLink() = default;
  AreaLink(const AreaLink&) = delete;
  AreaLink& operator=(const AreaLink&) = delete;
  ~AreaLink() { close(); }

  // Takes the socket, which does not block.
  void open(int socket);
  void close();
  // Makes sure that the process knows the area. False: it cannot be told.
  bool share(const std::shared_ptr<const ClientArea>& area);
  // Tells it which are over.
  void sweep();

 private:
  int socket_ = -1;
  std::unordered_map<std::uint64_t, std::weak_ptr<const ClientArea>> told_;
};

}  // namespace p11shim
