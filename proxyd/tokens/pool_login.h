// The login of a pool of several members: one for all applications that are logged in.
//
// A PIN is shown to one member first, to the others only after that one accepted it. While an application is logged in every
// member that can be is kept logged in, also when it returns later, with the PIN that a member keeps. Each member's domain
// counts the pool as one application. A member that refuses a PIN which another accepted is quarantined: it is never shown
// that PIN again, also after a restart of proxyd (a keyed hash is remembered), until the operator says so or it accepts
// another PIN.
#pragma once

#include <functional>
#include <optional>

#include "pkcs11/cryptoki.h"
#include "proxyd/tokens/refused_pins.h"

namespace p11shim {

class LoginDomain;
class Pool;
struct Membership;

class PoolLogin {
 public:
  using Done = std::function<void(CK_RV)>;
  using Wanted = std::function<bool()>;
  PoolLogin(Pool& pool, StateDirectory& state) : pool_(pool), refused_(state) {}

  // `pin` and `user_name` as in LoginDomain::log_in.
  void log_in(Buffer pin, Buffer user_name, Wanted wanted, Done done);
  void log_in_with_own_pin(Done done);
  // A forked child starts as logged in as its parent is.
  void share() { ++applications_; }
  // One application leaves.
  void leave(std::function<void()> done);
  [[nodiscard]] std::uint32_t applications() const { return applications_; }

  // Of a member that was taken in.
  void watch(Member& member);
  // Logs members in that are not yet, or not any more.
  void tend();
  // A member's worker cannot be logged in again by itself. False: no member is logged in any more and none can be.
  bool lost(Membership& membership);
  // The operator says that the member has the right PINs now.
  void clear_quarantine(Membership& membership);
  // From before proxyd was restarted.
  void restore_quarantine(Membership& membership);
  // The member has accepted a PIN as its user's, or was given it.
  void has_shown_its_pin(Membership& membership);
  // Another member accepts what this one has refused.
  void quarantine(Membership& membership, const Identity& pin_hash, CK_RV rv);
  // Of those who are logged in, encoded; empty: none was given.
  [[nodiscard]] const Buffer& user_name() const { return user_name_; }
  RefusedPins& refused() { return refused_; }

 private:
  struct Attempt;
  void try_next(const std::shared_ptr<Attempt>& attempt);
  void accepted(Membership& by);
  void join(Membership& membership);
  void joined(Membership& membership, CK_RV rv, const Identity& pin_hash, bool own_pin);
  void fail_to_join(Membership& membership, CK_RV rv);
  // Of proxyd's PIN for it, as configured now.
  std::optional<Identity> own_pin_hash(Member& member) const;
  bool has_refused_own_pin(Member& member) const;
  void own_pin_refused(Member& by, CK_RV rv);
  // A copy of the PIN that some member keeps; empty: none does.
  Buffer kept_pin() const;

  Pool& pool_;
  RefusedPins refused_;
  std::uint32_t applications_ = 0;
  Buffer user_name_;
};

}  // namespace p11shim
