// Makes a key that is not to be extractable on all members (replicate_nonextractable): as an extractable session object on one,
// which is wrapped there, unwrapped on every member (that one included) as the application wanted it, and destroyed. The copies
// are the same and honestly say that they were not made where they are. Who cannot be reached now gets none later, since the
// key cannot leave its members any more. Owns itself; goes on when its caller has gone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxyd/tokens/pool.h"

namespace p11shim {

class SealedCreation final : public std::enable_shared_from_this<SealedCreation> {
 public:
  struct Order {
    Place* on = nullptr;
    std::uint32_t call = 0;
    std::vector<std::uint64_t> objects;  // real ones, that the call names
    Buffer body;                         // as sealed_body() has it
    bool logged_in = false;
  };
  // `handles`: the pool's, in the order of the call; `body`: the module's answer to the call.
  using Done = std::function<void(CK_RV rv, const std::vector<std::uint64_t>& handles, const Buffer& body)>;

  static void run(Pool& pool, Order order, Done done);
  SealedCreation(Pool& pool, Order order, Done done)
      : pool_(pool), order_(std::move(order)), done_(std::move(done)), generation_(order_.on->worker.generation()) {}

 private:
  void made(Reply* reply, std::shared_ptr<SessionObject> object);
  void copy_public();
  void seal_first();
  void bind_first(std::span<const std::uint8_t> annex);
  void seal_next(std::size_t index);
  void bind_copy(Place& to, std::span<const std::uint8_t> annex, std::function<void()> then);
  void end(CK_RV rv);
  void undo();
  // Some member has failed in the middle of it: said once, with its reason.
  void fail(const std::string& why);
  [[nodiscard]] bool is_lost() const {
    return object_->place == nullptr || generation_ != order_.on->worker.generation();
  }

  Pool& pool_;
  Order order_;
  Done done_;
  const std::uint64_t generation_;
  Buffer answer_;
  std::shared_ptr<SessionObject> object_;
  std::vector<std::uint64_t> handles_;
  std::size_t copies_ = 1;
  std::size_t least_ = SIZE_MAX;  // of the public key of a pair
  Identity identity_{};
  bool locked_ = false;
};

// Whether a call is to make such a key; the public key of a pair is a token object too.
bool makes_sealed_key(const Request& request);
// The request's body with that key as an extractable session object. False: it is malformed.
bool sealed_body(const Request& request, Buffer& body);

}  // namespace p11shim
