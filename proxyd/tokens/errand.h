// What proxyd does in a worker on its own account that needs a real session: borrow one, call, give it back.
// An errand owns itself and always ends by calling back.
#pragma once

#include <functional>
#include <optional>

#include "proxyd/tokens/place.h"

namespace p11shim {

// LaneCall::read_template as the number of a call.
inline constexpr auto kReadTemplate = static_cast<std::uint32_t>(LaneCall::read_template);

class Errand final : private Waiter {
 public:
  using Done = std::function<void(Reply* reply)>;  // null: it could not be done

  // Every object that matches `tmpl` (the encoded template of C_FindObjectsInit), with descriptions of those that are new.
  static void find(Place& place, Buffer tmpl, Done done);
  // C_DestroyObject or C_SetAttributeValue of one object; `body` is the application's.
  static void change(Place& place, std::uint32_t call, std::uint64_t object, Buffer body, Done done);
  // A template of C_CreateObject with which make() makes the same session object elsewhere.
  static void read_out(Place& place, std::uint64_t object, Done done);
  // A session object of proxyd's own; `tmpl` is the encoded template of C_CreateObject. Null: it could not be made.
  using Made = std::function<void(std::shared_ptr<SessionObject> object)>;
  static void make(Place& place, Buffer tmpl, Made made);
  // A key that `call` makes of `body` and these objects as a session object of proxyd's own: the last that it returns. Without
  // `reply` nothing was made, as far as is known. In the process of that generation, as with call().
  using MadeKey = std::function<void(Reply* reply, std::shared_ptr<SessionObject> object)>;
  static void make_key(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, Buffer body, MadeKey made,
                       std::uint64_t generation);
  // Any other call on these objects that ends with its answer; `read_write` as the session must be. With a `generation` it is
  // done in that process or not at all, as what names objects is always: handles mean others in the next one.
  static void call(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, bool read_write, Buffer body,
                   Done done, std::optional<std::uint64_t> generation = {});
  // Descriptions of these objects, kMostDescribed at the most; of a large one perhaps without those that follow.
  static constexpr std::size_t kMostDescribed = limits::kMaxRequestHandles - 1;
  static void describe(Place& place, std::vector<std::uint64_t> objects, Done done);
  // The same in pieces: takes some of `unknown` and gives back what was not described. Null: nothing was.
  static void describe_some(Place& place, std::vector<std::uint64_t> unknown,
                            std::function<void(Reply* reply, std::vector<std::uint64_t> left)> done);

 private:
  Errand(Place& place, std::uint32_t call, std::vector<std::uint64_t> objects, Buffer body, Done done)
      : place_(place),
        generation_(place.worker.generation()),
        bound_(!objects.empty()),
        call_(call),
        objects_(std::move(objects)),
        body_(std::move(body)),
        done_(std::move(done)) {}
  void resume() override;
  void answered(RealSession& session, Reply* reply);
  void finish(Reply* reply);

  Place& place_;
  std::uint64_t generation_;
  bool bound_;  // to the process of that generation
  bool read_write_ = false;
  const std::uint32_t call_;
  std::vector<std::uint64_t> objects_;
  Buffer body_;
  Done done_;
  Made made_;
  MadeKey made_key_;
  std::shared_ptr<SessionObject> object_;  // that was made
};

}  // namespace p11shim
