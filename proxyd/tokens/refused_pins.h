// PINs that a member of a pool refused although another had accepted them. Each is remembered as a keyed hash, also across
// restarts, and not shown to that member again: its HSM counts what it refuses, and locks. The operator clears them
// (`member ready`), and so does a PIN that the member accepts.
#pragma once

#include <string>

#include "proxyd/objects/state_directory.h"
#include "wire/buffer.h"
#include "wire/in.h"

namespace p11shim {

class Member;

// PINs travel encoded, as C_Login has them: a bin, or a number for NULL (then they are typed in at the token).
class RefusedPins {
 public:
  explicit RefusedPins(StateDirectory& state) : state_(state) {}

  // Of (member, PIN, user's name), by a key that only this proxyd has.
  [[nodiscard]] Identity hash(const Member& member, PinOf of, const Buffer& pin, const Buffer& user_name) const;
  [[nodiscard]] bool has(const Member& member, PinOf of, const Buffer& pin, const Buffer& user_name) const {
    return state_.is_refused(hash(member, of, pin, user_name));
  }
  void remember(const Member& member, PinOf of, const Identity& hash);
  // It is the member's PIN now.
  void forget(const Identity& hash) { state_.forget_refused(hash); }
  // All that it refused: it has shown which PIN is its own.
  void forget(const Member& member, PinOf of);
  [[nodiscard]] bool any(const Member& member, PinOf of) const;

 private:
  StateDirectory& state_;
};

// Copies the next argument, a PIN or a name, as it is hashed.
Buffer next_secret(In& in);
bool is_null_pin(const Buffer& encoded);

}  // namespace p11shim
