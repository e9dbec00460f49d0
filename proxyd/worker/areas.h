// The areas of all connections that this worker serves, as proxyd tells of them over a socket of its own: an identifier with
// a descriptor is a new one, an identifier alone one that is over. A lane keeps what it uses mapped until its call returns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "wire/area.h"

namespace p11shim {

class Areas {
 public:
  // Listens until the other end is closed, or ours is shut down; then nothing comes any more.
  void follow(int socket);
  // Waits for one that is on its way. Null: it could not be mapped, or proxyd does not know it.
  std::shared_ptr<const Area> find(std::uint64_t id);

 private:
  std::mutex mutex_;  // guards all
  std::condition_variable changed_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const Area>> areas_;
  bool ended_ = false;
};

}  // namespace p11shim
