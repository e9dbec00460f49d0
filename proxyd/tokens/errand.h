// What proxyd does in a worker on its own account that needs a real session: borrow one, call, give it back.
// An errand owns itself and always ends by calling back.
#pragma once

#include <functional>

#include "proxyd/tokens/place.h"

namespace p11shim {

class Errand final : private Waiter {
 public:
  using Done = std::function<void(Reply* reply)>;  // null: it could not be done

  // Every object that matches `tmpl` (the encoded template of C_FindObjectsInit), with descriptions of those that are new.
  static void find(Place& place, Buffer tmpl, Done done);
  // C_DestroyObject or C_SetAttributeValue of one object; `body` is the application's.
  static void change(Place& place, std::uint32_t call, std::uint64_t object, Buffer body, Done done);
  // Descriptions of these objects.
  static void describe(Place& place, std::vector<std::uint64_t> objects, Done done);

 private:
  Errand(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, Buffer body, Done done)
      : place_(place), call_(call), objects_(std::move(objects)), body_(std::move(body)), done_(std::move(done)) {}
  void resume() override;
  void answered(RealSession& session, Reply* reply);
  void finish(Reply* reply);

  Place& place_;
  bool read_write_ = false;
  const std::uint32_t call_;
  std::vector<std::uint64_t> objects_;
  Buffer body_;
  Done done_;
};

}  // namespace p11shim
