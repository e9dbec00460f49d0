// Makes a key that is not to be extractable on all members (replicate_nonextractable): as an extractable session object on one,
// which is wrapped there, unwrapped on every member (that one included) as the application wanted it, and destroyed. The copies
// are the same and honestly say that they were not made where they are. Who cannot be reached now gets none later, since the
// key cannot leave its members any more.
//
//   what is there is known → intention written for every member (Debts::begin_creation) → made → what proves it written
//   (Debts::note_made) → sealed on each → intention deleted, the answer given
//
// Whatever happens before the last step, what it has made is destroyed, where that is proven. Owns itself; goes on when its caller has gone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxyd/loop/handles.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {

class SealedCreation final : public std::enable_shared_from_this<SealedCreation>, private Waiter {
 public:
  struct Order {
    Place* on = nullptr;
    std::uint32_t call = 0;
    std::vector<std::uint64_t> objects;  // real ones, that the call names
    Buffer body;                         // as sealed_body() has it
    bool logged_in = false;
    std::vector<Debt> makes;  // what the call is to make: class, label, id, and whether it is private
  };
  // `handles`: the pool's, in the order of the call; `body`: the module's answer to the call.
  using Done = std::function<void(CK_RV rv, const std::vector<std::uint64_t>& handles, const Buffer& body)>;

  static void run(Pool& pool, Order order, Done done);
  SealedCreation(Pool& pool, Order order, Done done);

 private:
  // Whether everything that a member has is known, so that a copy may be made there: not now, perhaps soon, or yes.
  enum class Sight : std::uint8_t { away, settling, known };
  [[nodiscard]] Sight sight_of(Membership& membership) const;
  using Step = void (SealedCreation::*)();
  void wait(Step step);
  void resume() override;
  void begin();
  void made(Reply* reply, std::shared_ptr<SessionObject> object);
  void note_public(std::uint64_t real, const ByteString& content);
  void copy_public();
  void note_key(const ByteString& public_content);
  void seal_first();
  void bind_first(std::span<const std::uint8_t> annex);
  void seal_next();
  void without(const Membership& membership, const std::string& why);
  void bind_copy(Place& to, std::span<const std::uint8_t> annex, std::function<void()> then);
  void end(CK_RV rv);
  void undo();
  // Some member has failed in the middle of it: said once, with its reason.
  void fail(const std::string& why);
  void fail_unclear(const std::string& why);
  [[nodiscard]] bool is_lost() const {
    return object_->place == nullptr || generation_ != order_.on->worker.generation();
  }

  Pool& pool_;
  Order order_;
  Done done_;
  const std::uint64_t generation_;
  Buffer answer_;
  std::shared_ptr<SessionObject> object_;
  Buffer described_;  // what was made
  std::vector<std::uint64_t> handles_;
  std::size_t copies_ = 1;
  std::size_t least_ = SIZE_MAX;  // of the public key of a pair
  Identity identity_{};
  bool locked_ = false;

  std::uint64_t among_ = 0;    // the members, as bits, that the intention was written for
  std::uint64_t left_ = 0;     // that have no copy yet
  std::uint64_t unclear_ = 0;  // of which nobody knows what they have
  std::optional<std::uint64_t> write_;
  std::uint64_t creation_ = 0;  // its number on the member that makes it
  Step step_ = nullptr;
  bool too_late_ = false;                    // to wait for a member
  std::shared_ptr<SealedCreation> waiting_;  // itself
  const std::weak_ptr<const char> pool_lives_;
  Timer timer_;
};

// Whether a call is to make such a key; the public key of a pair is a token object too.
bool makes_sealed_key(const Request& request);
// The request's body with that key as an extractable session object. False: it is malformed.
bool sealed_body(const Request& request, Buffer& body);

}  // namespace p11shim
