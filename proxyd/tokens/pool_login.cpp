#include "proxyd/tokens/pool_login.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

// It has no named users, or not this one: no PIN was wrong.
bool refuses_user(CK_RV rv) {
  return rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_USER_TYPE_INVALID || rv == CKR_ARGUMENTS_BAD;
}

// It looks at no PIN at all, as it is now, or not any more at this one. Others may.
bool says_nothing_of_pin(CK_RV rv) {
  return rv == CKR_PIN_LOCKED || rv == CKR_PIN_EXPIRED || rv == CKR_USER_PIN_NOT_INITIALIZED;
}

constexpr std::chrono::milliseconds kJoinAgain{100};  // doubled with each failure in a row, up to breaker.open_max

constexpr char kRefuses[] = "it refused the PIN that other members accept";
constexpr char kRefusesOwn[] = "it refused proxyd's PIN";

bool is_useless(LoginDomain& domain) { return domain.worker().state() == Worker::State::backoff; }

}  // namespace

// Members in the order in which they are asked.
struct PoolLogin::Attempt {
  std::vector<Membership*> members;
  std::size_t next = 0;
  bool own_pin = false;
  Buffer pin;
  Buffer user_name;
  Wanted wanted;
  Done done;
  CK_RV rv = CKR_DEVICE_ERROR;
  // Those that could not look at the PIN, and what they said.
  std::vector<std::pair<Membership*, CK_RV>> unable;
};

void PoolLogin::log_in(Buffer pin, Buffer user_name, Wanted wanted, Done done) {
  auto attempt = std::make_shared<Attempt>();
  bool refused = false;
  for (const auto& each : pool_.members) {
    if (each->health.wanted == p11shim::Wanted::maint) continue;
    if (refused_.has(each->member, PinOf::user, pin, user_name)) refused = true;
    else attempt->members.push_back(each.get());
  }
  // One that refused the others' PIN comes last: it would refuse this one too, and its HSM counts.
  const auto rank = [&](const Membership* each) {
    const bool healthy =
        each->health.breaker.state() == Breaker::State::closed && each->health.wanted == p11shim::Wanted::ready;
    return (each->logged_in ? 0 : 1) + (healthy ? 0 : 2) + (is_useless(each->member.user()) ? 4 : 0) +
           (each->quarantine.empty() ? 0 : 8);
  };
  std::ranges::stable_sort(attempt->members, {}, rank);
  if (attempt->members.empty()) return done(refused ? CKR_PIN_INCORRECT : CKR_DEVICE_ERROR);
  attempt->pin = std::move(pin);
  attempt->user_name = std::move(user_name);
  attempt->wanted = std::move(wanted);
  attempt->done = std::move(done);
  try_next(attempt);
}

void PoolLogin::log_in_with_own_pin(Done done) {
  auto attempt = std::make_shared<Attempt>();
  bool refused = false;
  for (const auto& each : pool_.members) {
    if (each->health.wanted == p11shim::Wanted::maint) continue;
    if (has_refused_own_pin(each->member)) refused = true;
    else attempt->members.push_back(each.get());
  }
  if (attempt->members.empty()) return done(refused ? CKR_PIN_INCORRECT : CKR_DEVICE_ERROR);
  std::ranges::stable_sort(attempt->members, {}, [](const Membership* each) { return each->logged_in ? 0 : 1; });
  attempt->own_pin = true;
  attempt->done = std::move(done);
  try_next(attempt);
}

// A member that is in trouble says nothing about the PIN, nor one that has locked its own: the next one is asked. Any other
// answer is the answer.
void PoolLogin::try_next(const std::shared_ptr<Attempt>& attempt) {
  if (attempt->next == attempt->members.size())
    return attempt->done(attempt->unable.empty() ? attempt->rv : attempt->unable.front().second);
  Membership& asked = *attempt->members[attempt->next++];
  auto answered = [this, attempt, &asked](CK_RV rv) {
    attempt->rv = rv;
    pool_.doubt_tokens();
    if (rv == CKR_OK && !pool_.has(asked.member)) {  // it was removed meanwhile
      asked.member.user().log_out([] {});
      attempt->rv = CKR_DEVICE_ERROR;
      return try_next(attempt);
    }
    if (!attempt->own_pin && says_nothing_of_pin(rv)) {
      attempt->unable.emplace_back(&asked, rv);
      return try_next(attempt);
    }
    if (blame_of(rv) != Blame::nobody || (attempt->own_pin && rv != CKR_OK)) return try_next(attempt);
    if (!attempt->user_name.empty() && refuses_user(rv)) return try_next(attempt);
    if (rv == CKR_OK) {
      user_name_.clear();
      user_name_.append(attempt->user_name.data(), attempt->user_name.size());
      for (const auto& [unable, why] : attempt->unable)
        if (pool_.has(unable->member) && !unable->logged_in)  // else it serves those who are
          quarantine(*unable, refused_.hash(unable->member, PinOf::user, attempt->pin, attempt->user_name), why);
      accepted(asked);
    }
    attempt->done(rv);
  };
  if (attempt->own_pin) return asked.member.user().log_in_with_own_pin(std::move(answered));
  asked.member.user().log_in(secret_copy(attempt->pin), secret_copy(attempt->user_name), attempt->wanted,
                             std::move(answered));
}

void PoolLogin::accepted(Membership& by) {
  ++applications_;
  if (by.logged_in) by.member.user().log_out([] {});  // the pool is counted there already
  by.logged_in = true;
  has_shown_its_pin(by);
  by.user_objects.begin();
  tend();
}

void PoolLogin::leave(std::function<void()> done) {
  if (applications_ != 0 && --applications_ != 0) return done();
  user_name_.clear();
  for (const auto& each : pool_.members) {
    if (std::exchange(each->refuses_name, false)) each->quarantine.clear();
    each->join_after_ms = 0;
    each->join_pause = {};
  }
  auto left = std::make_shared<std::size_t>(1);
  const auto one_done = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const auto& each : pool_.members) {
    if (!std::exchange(each->logged_in, false)) continue;
    ++*left;
    each->member.user()
        .place()
        .objects.forget_token_objects();  // as modules do: they are listed anew at the next login
    each->member.user().log_out(one_done);
  }
  one_done();
}

void PoolLogin::tend() {
  if (applications_ == 0) return;
  const std::uint64_t now = pool_.runtime().now_ms();
  for (const auto& each : pool_.members)
    if (!each->logged_in && !each->joining && each->health.wanted != p11shim::Wanted::maint &&
        now >= each->join_after_ms)
      join(*each);
}

void PoolLogin::join(Membership& membership) {
  LoginDomain& domain = membership.member.user();
  if (is_useless(domain) || membership.refuses_name) return;
  if (membership.member.config().login == LoginMode::daemon) {
    if (membership.quarantine.empty() && has_refused_own_pin(membership.member)) membership.quarantine = kRefusesOwn;
    if (!membership.quarantine.empty()) return;
    membership.joining = true;
    return domain.log_in_with_own_pin([this, &membership](CK_RV rv) { joined(membership, rv, {}, true); });
  }
  Buffer pin = kept_pin();
  if (pin.empty()) return;
  const Identity pin_hash = refused_.hash(membership.member, PinOf::user, pin, user_name_);
  if (pool_.state().is_refused(pin_hash)) {
    if (membership.quarantine.empty()) membership.quarantine = kRefuses;
    return;
  }
  membership.joining = true;
  domain.log_in(std::move(pin), secret_copy(user_name_), nullptr,
                [this, &membership, pin_hash](CK_RV rv) { joined(membership, rv, pin_hash, false); });
}

void PoolLogin::joined(Membership& membership, CK_RV rv, const Identity& pin_hash, bool own_pin) {
  membership.joining = false;
  pool_.doubt_tokens();
  if (rv == CKR_OK) {
    membership.join_after_ms = 0;
    membership.join_pause = {};
    if (applications_ == 0 || membership.logged_in || !pool_.has(membership.member))
      return membership.member.user().log_out([] {});
    membership.logged_in = true;
    has_shown_its_pin(membership);
    return membership.user_objects.begin();
  }
  const bool is_blank = own_pin && rv == CKR_USER_PIN_NOT_INITIALIZED;  // nothing was tried, and it may get one
  if (LoginDomain::refuses_pin(rv) && !is_blank) {
    if (own_pin) membership.quarantine = kRefusesOwn + (": " + display(NameKind::ckr, rv));
    else quarantine(membership, pin_hash, rv);
  } else if (!user_name_.empty() && refuses_user(rv) && membership.quarantine.empty()) {
    membership.refuses_name = true;
    membership.quarantine = "it has not the named user whom other members accept: " + display(NameKind::ckr, rv);
    pool_.runtime().log.warn("pool {}: member {} is not used by those who are logged in: {}", pool_.config.name,
                             membership.member.name(), membership.quarantine);
  } else {
    fail_to_join(membership, rv);
  }
  pool_.changed.resume_all();
}

// A member in trouble is not asked to log in again and again as fast as it fails.
void PoolLogin::fail_to_join(Membership& membership, CK_RV rv) {
  if (membership.join_pause.count() == 0)
    pool_.runtime().log.warn("pool {}: member {} cannot be logged in and is tried again: {}", pool_.config.name,
                             membership.member.name(), display(NameKind::ckr, rv));
  membership.join_pause =
      std::min(std::max(kJoinAgain, membership.join_pause * 2), pool_.config.balance.breaker.open_max);
  membership.join_after_ms = pool_.runtime().now_ms() + static_cast<std::uint64_t>(membership.join_pause.count());
}

void PoolLogin::watch(Member& member) {
  member.user().set_own_pin_hooks({[this, &member] { return pool_.balanced() && has_refused_own_pin(member); },
                                   [this, &member](CK_RV rv) { own_pin_refused(member, rv); }});
}

std::optional<Identity> PoolLogin::own_pin_hash(Member& member) const {
  Buffer pin;
  if (!member.user().hand_own_pin(pin)) return std::nullopt;
  return refused_.hash(member, PinOf::user, pin, {});
}

bool PoolLogin::has_refused_own_pin(Member& member) const {
  const auto hash = own_pin_hash(member);
  return hash && pool_.state().is_refused(*hash);
}

// Nobody may watch when proxyd logs in, again and again if it is started so: a wrong PIN is shown once, not once for each start.
void PoolLogin::own_pin_refused(Member& by, CK_RV rv) {
  if (!pool_.balanced() || says_nothing_of_pin(rv) || has_refused_own_pin(by)) return;
  if (const auto hash = own_pin_hash(by)) refused_.remember(by, PinOf::user, *hash);
  pool_.runtime().log.error(
      "pool {}: member {} refuses proxyd's PIN ({}) and is not shown it again, also after a restart, until `shimctl "
      "member ready` says so, C_InitPIN sets it or another PIN is configured",
      pool_.config.name, by.name(), display(NameKind::ckr, rv));
}

void PoolLogin::quarantine(Membership& membership, const Identity& pin_hash, CK_RV rv) {
  refused_.remember(membership.member, PinOf::user, pin_hash);
  membership.quarantine = kRefuses + (": " + display(NameKind::ckr, rv));
  pool_.runtime().log.error("pool {}: member {} is quarantined: {}; it is not shown this PIN again", pool_.config.name,
                            membership.member.name(), membership.quarantine);
}

bool PoolLogin::lost(Membership& membership) {
  membership.logged_in = false;
  Buffer pin = kept_pin();
  if (const CK_RV rv = membership.member.user().own_pin_refused(); rv != CKR_OK && !pin.empty())
    quarantine(membership, refused_.hash(membership.member, PinOf::user, pin, user_name_), rv);
  const bool others =
      std::any_of(pool_.members.begin(), pool_.members.end(), [](const auto& each) { return each->logged_in; });
  if (others || !pin.empty()) return true;
  applications_ = 0;
  return false;
}

void PoolLogin::clear_quarantine(Membership& membership) {
  membership.quarantine.clear();
  membership.refuses_name = false;
  membership.join_after_ms = 0;
  membership.member.user().offer_own_pin_again();
  refused_.forget(membership.member, PinOf::user);
  refused_.forget(membership.member, PinOf::so);
  const Buffer pin = kept_pin();
  if (!pin.empty()) refused_.forget(refused_.hash(membership.member, PinOf::user, pin, user_name_));
}

void PoolLogin::restore_quarantine(Membership& membership) {
  if (membership.member.config().login == LoginMode::client && refused_.any(membership.member, PinOf::user))
    membership.quarantine = kRefuses;
}

void PoolLogin::has_shown_its_pin(Membership& membership) {
  if (membership.quarantine.empty()) return;
  membership.quarantine.clear();
  membership.refuses_name = false;
  refused_.forget(membership.member, PinOf::user);
}

Buffer PoolLogin::kept_pin() const {
  Buffer pin;
  for (const auto& each : pool_.members)
    if (each->logged_in && each->member.user().hand_kept_pin(pin)) break;
  return pin;
}

}  // namespace p11shim
