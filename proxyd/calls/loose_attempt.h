// An attempt of a call that goes on by itself, with a message, a real session and an account of its own: the second one of a
// call that takes long (hedging), or its first one once the second was faster. Its answer is given to whoever still wants it;
// otherwise it is discarded, the member's account is settled by it, and the lane and the session are free again.
// Owns itself.
#pragma once

#include <functional>

#include "proxyd/tokens/pool.h"

namespace p11shim {

class LooseAttempt final : public LaneJob {
 public:
  struct Of {
    Pool* pool = nullptr;
    Membership* on = nullptr;
    Place* place = nullptr;
    RealSession* lease = nullptr;
    std::uint64_t began_ns = 0;
    bool trial = false;
    UsualTimes::Kind kind;
    std::uint32_t beside = 1;  // as in Attempts
  };
  struct Caller {
    std::function<bool()> wanted;                          // somebody waits for the answer
    std::function<void(LooseAttempt&, Reply& reply)> won;  // takes over what this has, its account included
    std::function<void()> failed;                          // the member could not do it; everything is settled
  };
  LooseAttempt(const Of& of, Caller caller) : of_(of), caller_(std::move(caller)) {}

  // Sends the call; `body` is copied. The real session's handle is the request's first.
  void start(const Request& request);
  [[nodiscard]] const Of& of() const { return of_; }
  [[nodiscard]] std::uint64_t sent_ns() const { return sent_ns_; }

 private:
  void on_reply(Reply& reply) override;
  void on_failure(JobFailure failure) override;
  // Nobody but the limit for calls of proxyd's own ends it when the module hangs.
  [[nodiscard]] bool is_own() const override { return true; }
  [[nodiscard]] const void* application() const override {
    return of_.lease != nullptr ? of_.lease->borrower : nullptr;
  }
  void settle(const Reply& reply);
  void end(bool failed);

  const Of of_;
  const Caller caller_;
  const std::weak_ptr<const char> pool_alive_ = of_.pool->alive();
  Buffer body_bytes_;
};

}  // namespace p11shim
