// A member's part in a pool of several: its health, what it can do, which objects it shows, whether it is logged in.
#pragma once

#include <map>
#include <vector>

#include "proxyd/balance/health.h"
#include "proxyd/balance/history.h"
#include "proxyd/balance/usual_times.h"
#include "proxyd/loop/waiting.h"
#include "proxyd/tokens/capabilities.h"
#include "proxyd/tokens/creations.h"
#include "proxyd/tokens/member.h"
#include "proxyd/tokens/survey.h"
#include "proxyd/tokens/token_look.h"

namespace p11shim {

struct Membership {
  Membership(Pool& pool, Member& its_member, std::uint32_t its_number, const BreakerConfig& breaker,
             std::mt19937_64& random)
      : member(its_member),
        number(its_number),
        weight(its_member.config().weight),
        health(breaker, random),
        public_objects(pool, its_member.public_place()),
        user_objects(pool, its_member.user().place()) {}

  [[nodiscard]] Survey& survey_of(const Place& place) {
    return &place == &member.user().place() ? user_objects : public_objects;
  }
  [[nodiscard]] std::uint64_t bit() const { return std::uint64_t{1} << number; }
  [[nodiscard]] bool is_full() const {
    return member.config().max_concurrency != 0 && health.outstanding >= member.config().max_concurrency;
  }

  // As many calls as it may get are at work there: whoever must go there waits in `turns`.
  [[nodiscard]] bool is_busy() const {
    return member.config().max_concurrency != 0 && working >= member.config().max_concurrency;
  }
  // Whoever is next, if there is a turn to have.
  void pass_turn() {
    if (!is_busy()) turns.resume_one();
  }
  // A call is over, or goes elsewhere. `worked`: it had a turn. `changed`: those that wait for any member.
  void release(bool worked, WaitList& changed) {
    --health.outstanding;
    if (worked) --working;
    if (member.config().max_concurrency == 0) return;
    pass_turn();
    if (!is_full()) changed.resume_one();
  }

  Member& member;
  const std::uint32_t number;  // in its pool
  std::uint32_t weight;
  Health health;
  std::uint32_t working = 0;  // of the calls that are outstanding: those that have all they need
  WaitList turns;
  Survey public_objects;
  Survey user_objects;
  Capabilities capabilities;
  TokenLook token;
  UsualTimes times;  // where calls are hedged
  MemberId statistics{};

  History history{"starting", "ready"};

  bool empties = false;  // before maintenance: what has begun there ends, then its workers stop

  // The pool's login: see PoolLogin.
  bool logged_in = false;
  bool joining = false;
  std::chrono::milliseconds join_pause{0};  // after logins that failed in a row
  std::uint64_t join_after_ms = 0;
  // It is not waited for any more, though it is tried again now and then.
  [[nodiscard]] bool joins_in_vain() const { return join_pause >= std::chrono::milliseconds(400); }
  std::string quarantine;     // why it is not shown the PIN; empty: it may be
  bool refuses_name = false;  // it has no named users, or not this one (C_LoginUser): until everybody has logged out

  std::optional<std::size_t> wrapping_keys;  // of that label, when it was last known: see Pool::problems

  std::string distrust;  // why it serves nothing: it shows what was destroyed; empty: it does not
  Creations creations;

  // The probe under way.
  std::uint64_t probe_sent_ms = 0;
  std::uint32_t probes_open = 0;
  bool probe_failed = false;       // one of those that were sent then
  std::vector<Place*> unanswered;  // where they are
  struct BadProbes {
    std::uint32_t in_row = 0;
    std::uint32_t most = 5;  // of one process
  };
  std::map<const Place*, BadProbes> bad_probes;
};

}  // namespace p11shim
