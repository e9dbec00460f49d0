// One virtual token: a slot as applications see it, over its members. With one member it adds nothing to what that one
// does. With several it is *balanced*: docs/pools.md.
#pragma once

#include <string>
#include <unordered_set>

#include "proxyd/balance/placement.h"
#include "proxyd/balance/retry_budget.h"
#include "proxyd/objects/object_directory.h"
#include "proxyd/stats/registry.h"
#include "proxyd/tokens/debts.h"
#include "proxyd/tokens/membership.h"
#include "proxyd/tokens/nonce_makers.h"
#include "proxyd/tokens/pool_login.h"

namespace p11shim {

class Pool {
 public:
  Pool(Runtime& runtime, PoolConfig pool_config, CK_SLOT_ID virtual_slot, const std::vector<Member*>& its_members,
       StateDirectory& state);

  [[nodiscard]] bool balanced() const { return members.size() > 1; }
  [[nodiscard]] bool has(const Member& wanted) const {
    for (const auto& each : members)
      if (&each->member == &wanted) return true;
    return false;
  }
  [[nodiscard]] Membership& of(const Place& place);
  [[nodiscard]] const HandleKey& handle_key() const { return state_.handle_key(); }
  [[nodiscard]] StateDirectory& state() { return state_; }
  [[nodiscard]] Runtime& runtime() const { return runtime_; }
  [[nodiscard]] std::weak_ptr<const char> alive() const { return alive_; }

  // What is known of a description beside what it says.
  struct Sight {
    bool created = false;                                       // just now, through this pool
    const std::unordered_set<std::uint64_t>* listed = nullptr;  // real handles that were seen together with it
  };
  // Makes a described token object known, and which real handle it has there; or withholds it (debts.h). False: it may be one that
  // is known there by another real handle, or its twin; only a listing of all can tell.
  [[nodiscard]] bool bind(Place& place, const Description& description, const Sight& sight);
  // The same after its check; `proof` null: nothing was proven.
  [[nodiscard]] bool bind_checked(Place& place, const UnprovenKey& key, const ByteString* proof, const Sight& sight);
  // What a token object of this description is known as on any member; nothing: that is not proven.
  [[nodiscard]] std::optional<Identity> proven_identity(const Description& description) const;
  // What proxyd knows of an object that shows no proof itself: it is `identity`.
  void note_origin(Place& place, const Description& description, const Identity& identity);
  // Another object there, which nothing proves either, shows the same.
  [[nodiscard]] bool has_look_alike(const Place& place, const Description& description) const;
  // Attributes of an object were changed through this pool; `now` as this member describes it.
  void note_changed(Place& place, TokenObject& object, const Description& now);
  // It is gone, from this pool.
  void note_destroyed(std::uint64_t handle);
  // The keys there that bear the name of `wrapping_key`.
  [[nodiscard]] std::vector<std::uint64_t> wrapping_keys_on(const Place& place) const;
  [[nodiscard]] Origin origin(const Place& place, std::string& memory) const;

  // Where an application that is logged in, or not, works on this member; null while it cannot.
  Place* place_of(Membership& membership, bool logged_in) const;
  // Some member that may still show objects is on its way: it starts, logs in or is being surveyed.
  [[nodiscard]] bool settling(bool logged_in) const;
  // This one cannot be reached before the operator, or its breaker, has it back.
  [[nodiscard]] static bool is_away(const Membership& membership);
  // removable = true, and no member can serve: the token is gone.
  [[nodiscard]] bool absent();

  // What a member's health amounts to, whatever the operator wants of it: up, starting, trial, ejected or down, and why.
  struct Operational {
    const char* state;
    std::string reason;
  };
  [[nodiscard]] Operational health_of(Membership& membership) const;
  // What the operator wants of a member from now on, also after a restart of proxyd.
  void set_wanted(Membership& membership, Wanted wanted, const std::string& reason);
  void set_weight(Membership& membership, std::uint32_t weight);

  // Takes in one more. At most kMostMembers are ever enrolled, those that have left included.
  Membership& add_member(Member& its_member);
  [[nodiscard]] std::size_t enrolled() const { return members.size() + retired_.size(); }
  // For maintenance, once nothing needs it: its workers stop.
  static void stop_workers(Membership& membership, const std::string& reason);
  // Lets go of one that the operator wants removed, once nothing needs it: its workers stop.
  void retire(Membership& membership);
  // Objects that are served by this member alone, as far as is known.
  [[nodiscard]] std::vector<const TokenObject*> only_on(const Membership& membership) const;
  [[nodiscard]] Membership* numbered(std::size_t number);

  // What is wrong with its members as they are seen; told to the log when it is new.
  [[nodiscard]] std::vector<std::string> problems();
  [[nodiscard]] std::string why_nobody_serves();
  void tell_problems();
  // Logs out again if proxyd has logged in on its own account to see who has the wrapping key.
  void end_first_look();

  // Objects of this identity that a member may have: those of the pool, and what only looks like them and is seen in this place of its
  // (null: nothing).
  [[nodiscard]] std::size_t twins_on(const Identity& identity, const Place* place);

  // Several times a second: what members need to serve, or to come back. Only for balanced pools.
  void tend(std::uint64_t now_ms);
  // The worker answers as if its sessions or its login were gone.
  void renew_worker(Place& place, CK_RV rv);
  // Has a member's worker tell its mechanisms, once.
  void ask_mechanisms(Membership& membership);
  // Its mechanisms, combined as configured; empty while nothing is known of any member.
  [[nodiscard]] Capabilities::Mechanisms mechanisms() const;
  // Has members asked what their tokens say of themselves, where that may be another thing now. So long it is worth waiting for the
  // answers; zero: nothing is asked.
  std::chrono::milliseconds look_at_tokens();
  // Something was done with a PIN.
  void doubt_tokens() {
    for (const auto& each : members) each->token.doubt();
  }
  // What the token and its slot look like; false while no member was ever seen.
  bool token_info(CK_TOKEN_INFO& info) const;
  bool slot_info(CK_SLOT_INFO& info) const;
  // The configuration's label, serial number, manufacturer and model are complete. False: the member that it looks like was never
  // seen. What it showed first is kept for ever, whatever becomes of it.
  bool knows_its_face();

  PoolConfig config;
  const CK_SLOT_ID slot;
  Member& member;  // the first; the only one unless balanced
  ObjectDirectory objects;
  std::uint64_t sessions = 0;  // virtual ones, of all applications
  bool initialising = false;   // C_InitToken is under way: nobody opens a session, nothing is done on its own account
  MemberId statistics{};       // of the first member, in the registry

  std::vector<std::unique_ptr<Membership>> members;
  Placement placement;
  RetryBudget budget;
  PoolLogin login;
  NonceMakers nonce_makers;
  Debts debts;
  WaitList changed;  // those whose call no member can take now

 private:
  const Identity* copy_of(const Identity& first_seen, bool created);
  Description compared(const Description& description, ByteString& memory) const;
  // What it is known as there at first sight; nothing: something proves it.
  std::optional<Identity> unproven_identity(const Place& place, const Description& description) const;
  // The member shows another object of that identity.
  bool has_another(const Place& place, const Identity& first_seen, std::uint64_t real) const;
  [[nodiscard]] bool is_known_as_it_looks(const Place& place, const Description& seen, const Origin& from);
  // `copied_as`: what proxyd has copied there that looked like it.
  bool bind_look_alike(Place& place, const Description& seen, const Origin& from,
                       const std::optional<Identity>& copied_as, const Sight& sight);
  [[nodiscard]] bool is_shown(const Membership& membership, std::uint64_t handle) const;
  [[nodiscard]] bool may_be_known(const Place& place, std::uint64_t real, const Identity& identity, const Sight& sight);
  [[nodiscard]] std::size_t number_of_member(const Place& place) const;
  void add_wrapping_key_problems(std::vector<std::string>& all);
  bool looks_first(std::uint64_t now_ms);
  void note_health(Membership& membership);
  void remember_wish(const Membership& membership);
  void restore_wishes();
  void put_on(const StateDirectory::Face& face);
  void probe(Membership& membership, std::uint64_t now_ms);
  void send_probe(Membership& membership, Place& place);
  void renew_hung_worker(Membership& membership);
  void renew_failing_worker(Membership& membership, Place& place, CK_RV rv);

  Membership& enroll(Member& its_member);
  [[nodiscard]] Membership* membership_of(const Place& place) const;

  Runtime& runtime_;
  StateDirectory& state_;
  std::vector<std::unique_ptr<Membership>> retired_;  // what still runs may name them
  std::vector<std::string> told_problems_;
  enum class Look : std::uint8_t { wanted, asking, under_way, over };
  Look first_look_ = Look::wanted;  // with proxyd's own PIN
  std::uint64_t look_ends_ms_ = 0;
  std::optional<StateDirectory::Face> face_;  // of looks_like
  std::uint64_t tended_ms_ = 0;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim
