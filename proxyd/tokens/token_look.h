// What a member's token says of itself, put into the list of slots of its public worker: PIN flags as they are after the last
// login or PIN change, time and free memory. Owned by its membership.
#pragma once

#include <functional>
#include <memory>

#include "proxyd/tokens/member.h"

namespace p11shim {

class TokenLook {
 public:
  // Something has been done with a PIN: what is known may be wrong now.
  void doubt() { ++wanted_; }
  [[nodiscard]] bool doubted() const { return wanted_ != answered_; }
  [[nodiscard]] bool is_fresh(const Worker& worker, std::uint64_t now_ms) const;
  // Asks the public worker, which is ready, unless that is under way. `done` is called with any answer, not if it dies.
  void ask(Member& member, std::function<void()> done);

 private:
  void answered(Member& member, CK_SLOT_ID slot, const Reply* reply);

  std::uint64_t wanted_ = 0;    // grows with each doubt
  std::uint64_t answered_ = 0;  // the last one that an answer is younger than
  std::uint64_t at_ms_ = 0;
  std::uint64_t generation_ = 0;  // of the worker that answered
  bool asking_ = false;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim
