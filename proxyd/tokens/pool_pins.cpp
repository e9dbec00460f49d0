#include "proxyd/tokens/pool_pins.h"

#include <spdlog/spdlog.h>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/loop/handles.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

// One step on every member, one after the other. What the first refuses is not tried on the others, and what one has refused
// that others accepted is not begun again: each refusal counts in that member.
struct Round : std::enable_shared_from_this<Round> {
  using Step = std::function<void(Member&, PinDone)>;
  // The PIN that each member is shown.
  struct Shown {
    PinOf of;
    Buffer pin;
    Buffer user_name;
  };
  Pool* pool = nullptr;
  const char* what = "";
  std::optional<Shown> shown;
  bool stops = false;  // at the first member that fails
  std::vector<Member*> members;
  std::size_t next = 0;
  Step step;
  std::function<void(CK_RV, const std::vector<Member*>& done)> end;
  std::vector<Member*> done;
  CK_RV rv = CKR_OK;

  void go() {
    if (next == members.size()) return finish();
    Member& member = *members[next++];
    step(member, [self = shared_from_this(), &member](CK_RV answer) {
      self->pool->doubt_tokens();
      if (answer == CKR_OK) {
        self->done.push_back(&member);
      } else {
        if (self->rv == CKR_OK) self->rv = answer;
        self->pool->runtime().log.error("pool {}: member {}: {}: {}", self->pool->config.name, member.name(),
                                        self->what, display(NameKind::ckr, answer));
        if (self->done.empty()) return self->finish();
        self->note_refusal(member, answer);
        if (self->stops) return self->finish();
      }
      self->go();
    });
  }
  [[nodiscard]] bool may_begin() const {
    if (!shown) return true;
    for (const Member* member : members) {
      if (!pool->login.refused().has(*member, shown->of, shown->pin, shown->user_name)) continue;
      pool->runtime().log.warn(
          "pool {}: {} refused: member {} has refused this PIN, and is not shown it again before `shimctl member ready "
          "{}`",
          pool->config.name, what, member->name(), member->name());
      return false;
    }
    return true;
  }
  void note_refusal(Member& member, CK_RV answer) {
    if (!shown || is_null_pin(shown->pin) || (answer != CKR_PIN_INCORRECT && answer != CKR_PIN_LOCKED)) return;
    const Identity hash = pool->login.refused().hash(member, shown->of, shown->pin, shown->user_name);
    if (shown->of == PinOf::user) return pool->login.quarantine(pool->of(member.public_place()), hash, answer);
    pool->login.refused().remember(member, PinOf::so, hash);
    pool->runtime().log.error(
        "pool {}: member {} refuses an SO PIN that other members accept; it is not shown it again", pool->config.name,
        member.name());
  }
  void finish() {
    if (rv == CKR_OK && shown && shown->of == PinOf::so)
      for (const Member* member : done) pool->login.refused().forget(*member, PinOf::so);
    if (rv != CKR_OK && !done.empty()) {
      std::string names;
      for (const Member* each : done) names += (names.empty() ? "" : ", ") + each->name();
      pool->runtime().log.error("pool {}: {} was done on {} only: put the others right one by one", pool->config.name,
                                what, names);
    }
    const auto tell = std::move(end);
    tell(rv, done);
  }
};

Place& place_in(Member& member, PinDomain domain) {
  switch (domain) {
    case PinDomain::so: return member.so().place();
    case PinDomain::user: return member.user().place();
    case PinDomain::nobody: break;
  }
  return member.public_place();
}

bool is_kept_away(const Membership& membership) {
  return membership.health.wanted == Wanted::maint || membership.health.breaker.state() == Breaker::State::open;
}

// No worker of it can be had now.
bool is_away(const Membership& membership) {
  return is_kept_away(membership) || membership.member.backend().worker().rests();
}

bool is_there(const Membership& membership, PinDomain domain) {
  if (is_kept_away(membership)) return false;
  if (domain == PinDomain::user && !membership.logged_in) return false;
  // It has another PIN than the others.
  if (domain == PinDomain::nobody && !membership.quarantine.empty()) return false;
  return place_in(membership.member, domain).worker.state() == Worker::State::ready;
}

// C_InitToken of one member: no worker that knows the token is left, and no session. Owns itself.
class TokenInit final : private Waiter {
 public:
  static void start(Membership& membership, Buffer body, PinDone done) {
    membership.member.backend().renew_if_stale();  // it checks the SO's PIN
    (new TokenInit(membership, std::move(body), std::move(done)))->resume();
  }

 private:
  TokenInit(Membership& membership, Buffer body, PinDone done)
      : membership_(membership),
        member_(membership.member),
        body_(std::move(body)),
        done_(std::move(done)),
        timer_(worker().runtime().loop, [this] { resume(); }) {}
  Worker& worker() { return member_.backend().worker(); }

  void resume() override {
    if (worker().state() == Worker::State::backoff) return finish(worker().failure().rv);
    if (!worker().require(*this)) return;
    // Its objects are still being listed: no other listing begins meanwhile.
    if (membership_.public_objects.running()) return timer_.start(kLookAgain);
    member_.user().stop("the token is initialised");
    member_.so().stop("the token is initialised");
    Place& place = member_.public_place();
    place.read_only.close_all([this, &place] { place.read_write.close_all([this] { send(); }); });
  }
  void send() {
    const std::uint64_t slot = member_.slot_in(worker());
    OwnCall::start(worker(), number_of<&CK_FUNCTION_LIST_3_0::C_InitToken>(), {&slot, 1}, std::move(body_),
                   [this, slot](Reply* reply) {
                     if (reply == nullptr || reply->rv != CKR_OK)
                       return finish(reply == nullptr ? CKR_DEVICE_ERROR : reply->rv);
                     member_.public_place().objects.forget_token_objects();
                     member_.public_place().token_changed();
                     member_.backend().refresh_slots(false, [this, slot](CK_RV) { identify(slot); });
                   });
  }
  // The token has another serial number now.
  void identify(CK_SLOT_ID slot) {
    for (const SlotEntry& entry : worker().slots())
      if (entry.slot == slot && entry.token_rv == CKR_OK)
        member_.identify_by({unpadded(entry.token.label), unpadded(entry.token.serialNumber), std::nullopt});
    finish(CKR_OK);
  }
  void finish(CK_RV rv) {
    const PinDone done = std::move(done_);
    delete this;
    done(rv);
  }

  static constexpr std::chrono::milliseconds kLookAgain{10};
  Membership& membership_;
  Member& member_;
  Buffer body_;
  PinDone done_;
  Timer timer_;
};

// The application's C_InitToken as this member gets it.
Buffer init_body(const Buffer& body, const Member& member) {
  In in(body.bytes());
  in.skip();
  Buffer own;
  own.mark_secret();
  own.append(body.data(), body.size() - in.remaining());
  const std::string& kept = member.config().token_label;
  if (kept.empty()) {
    own.append(body.data() + own.size(), in.remaining());
    return own;
  }
  std::string label = kept;
  label.resize(sizeof CK_TOKEN_INFO::label, ' ');
  Out(own).bin(label.data(), label.size());
  return own;
}

// What the configuration calls a token by may be another one now.
void tell_identity(Pool& pool, const Member& member) {
  const MemberConfig& config = member.config();
  if (!config.token_label.empty()) return;
  pool.runtime().log.warn(
      "pool {}: the token of member {} was initialised and has the serial number \"{}\" now: its configuration ({}) "
      "may "
      "not find it at the next start",
      pool.config.name, member.name(), member.identity().serial, config.slot ? "slot" : "token_serial");
}

// All objects of all members are gone; should one come back it was destroyed.
void forget_objects(Pool& pool) {
  JournalChange change;
  std::vector<std::uint64_t> handles;
  pool.objects.for_each([&](const TokenObject& object) {
    handles.push_back(object.handle);
    change.limits.emplace_back(object.identity, 0);
  });
  for (const auto& [number, debt] : pool.debts.journal().debts())
    if (debt.pool == pool.config.name) change.remove.push_back(number);
  pool.debts.write_down(std::move(change));
  for (const std::uint64_t handle : handles) pool.note_destroyed(handle);
}

}  // namespace

void init_tokens(Pool& pool, Buffer body, PinDone done) {
  const auto round = std::make_shared<Round>();
  round->pool = &pool;
  round->what = "C_InitToken";
  for (const auto& each : pool.members) {
    if (is_away(*each)) {
      pool.runtime().log.warn(
          "pool {}: C_InitToken refused: member {} cannot be reached, and tokens are initialised on all members or on "
          "none",
          pool.config.name, each->member.name());
      return done(CKR_DEVICE_ERROR);
    }
    round->members.push_back(&each->member);
  }
  In in(body.bytes());
  round->shown.emplace(Round::Shown{PinOf::so, next_secret(in), {}});
  if (!round->may_begin()) return done(CKR_PIN_INCORRECT);
  pool.end_first_look();
  pool.initialising = true;
  round->step = [&pool, kept = std::make_shared<Buffer>(std::move(body))](Member& member, PinDone answered) {
    TokenInit::start(pool.of(member.public_place()), init_body(*kept, member),
                     [&pool, &member, answered = std::move(answered)](CK_RV rv) {
                       if (rv == CKR_OK) {
                         pool.objects.forget_member(pool.of(member.public_place()).number);
                         pool.login.refused().forget(member, PinOf::user);
                         member.user().offer_own_pin_again();
                         tell_identity(pool, member);
                       }
                       answered(rv);
                     });
  };
  round->end = [&pool, done = std::move(done)](CK_RV rv, const auto&) {
    if (rv == CKR_OK) forget_objects(pool);
    pool.initialising = false;
    pool.changed.resume_all();
    done(rv);
  };
  round->go();
}

void change_pins(Pool& pool, PinDomain domain, std::uint32_t call, Buffer body, PinDone done) {
  const auto round = std::make_shared<Round>();
  const bool sets_user_pin = call == number_of<&CK_FUNCTION_LIST_3_0::C_InitPIN>();
  round->pool = &pool;
  round->what = sets_user_pin ? "C_InitPIN" : "C_SetPIN";
  for (const auto& each : pool.members) {
    if (!is_there(*each, domain)) {
      pool.runtime().log.warn(
          "pool {}: {} refused: member {} cannot be reached, and PINs are changed on all members or on none",
          pool.config.name, round->what, each->member.name());
      return done(CKR_DEVICE_ERROR);
    }
    round->members.push_back(&each->member);
  }
  In in(body.bytes());
  const PinOf of = domain == PinDomain::so && !sets_user_pin ? PinOf::so : PinOf::user;
  const auto name = std::make_shared<Buffer>();
  if (domain == PinDomain::user) *name = secret_copy(pool.login.user_name());
  if (!sets_user_pin) round->shown.emplace(Round::Shown{of, next_secret(in), secret_copy(*name)});
  if (!round->may_begin()) return done(CKR_PIN_INCORRECT);
  const auto fresh = std::make_shared<Buffer>(next_secret(in));
  round->step = [&pool, domain, call, sets_user_pin, of, name, fresh, pins = std::make_shared<Buffer>(std::move(body))](
                    Member& member, PinDone answered) {
    if (domain == PinDomain::nobody) member.backend().renew_if_stale();
    Errand::call(
        place_in(member, domain), call, {}, true, secret_copy(*pins),
        [&pool, domain, sets_user_pin, of, name, fresh, &member, answered = std::move(answered)](Reply* reply) {
          const CK_RV rv = reply == nullptr ? CKR_DEVICE_ERROR : reply->rv;
          if (may_have_changed_pin(rv)) member.pin_changed(place_in(member, domain), sets_user_pin);
          if (rv != CKR_OK) return answered(rv);
          // Whatever it has said to this PIN before.
          pool.login.refused().forget(pool.login.refused().hash(member, of, *fresh, *name));
          if (sets_user_pin) {
            pool.login.has_shown_its_pin(pool.of(member.public_place()));
            member.user().offer_own_pin_again();
          }
          if (!sets_user_pin)
            for (LoginDomain* logged_in : {&member.user(), &member.so()}) logged_in->keep_changed(*fresh);
          answered(CKR_OK);
        });
  };
  round->end = [done = std::move(done)](CK_RV rv, const auto&) { done(rv); };
  round->go();
}

void log_in_so(Pool& pool, Buffer pin, Buffer user_name, PinDone done) {
  const auto round = std::make_shared<Round>();
  round->pool = &pool;
  round->what = "the login of the security officer";
  round->stops = true;
  for (const auto& each : pool.members) {
    if (is_away(*each)) {
      pool.runtime().log.warn("pool {}: {} refused: member {} cannot be reached, and it is for all members or none",
                              pool.config.name, round->what, each->member.name());
      return done(CKR_DEVICE_ERROR);
    }
    round->members.push_back(&each->member);
  }
  round->shown.emplace(Round::Shown{PinOf::so, secret_copy(pin), secret_copy(user_name)});
  if (!round->may_begin()) return done(CKR_PIN_INCORRECT);
  round->step = [kept = std::make_shared<Buffer>(std::move(pin)),
                 name = std::make_shared<Buffer>(std::move(user_name))](Member& member, PinDone answered) {
    member.so().log_in(secret_copy(*kept), secret_copy(*name), nullptr, std::move(answered));
  };
  round->end = [done = std::move(done)](CK_RV rv, const std::vector<Member*>& logged_in) {
    if (rv != CKR_OK)
      for (Member* member : logged_in) member->so().log_out([] {});
    done(rv);
  };
  round->go();
}

void log_out_so(Pool& pool, std::function<void()> done) {
  const auto left = std::make_shared<std::size_t>(pool.members.size());
  const auto one = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const auto& each : pool.members) each->member.so().log_out(one);
}

}  // namespace p11shim
