#include "proxyd/tokens/debts.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kTryAgainMs = 10'000;  // what met an obstacle
}

bool Debts::any() const {
  return std::ranges::any_of(pool_.members, [&](const auto& each) {
    return journal_.next_of(pool_.config.name, each->member.name(), 0) != nullptr;
  });
}

bool Debts::owes(const Membership& membership, const Identity& identity) const {
  return journal_.withholds(pool_.config.name, membership.member.name(), identity);
}

Membership* Debts::member_of(const Debt& debt) const {
  if (debt.pool != pool_.config.name) return nullptr;
  for (const auto& each : pool_.members)
    if (each->member.name() == debt.member) return each.get();
  return nullptr;
}

void Debts::lock(const Identity& identity, std::function<void()> locked) {
  const auto [entry, is_free] = locks_.try_emplace(identity);
  if (!is_free) return entry->second.push_back(std::move(locked));
  locked();
}

void Debts::unlock(const Identity& identity) {
  const auto entry = locks_.find(identity);
  if (entry->second.empty()) return void(locks_.erase(entry));
  const auto next = std::move(entry->second.front());
  entry->second.pop_front();
  next();
}

// One debt of each member at a time; of those about one object the first.
void Debts::tend(std::uint64_t now_ms) {
  if (now_ms - cleared_ms_ > kTryAgainMs) {
    cleared_ms_ = now_ms;
    try_again();
  }
  for (const auto& each : pool_.members) check_returned(*each);
  if (in_tend_) return;
  in_tend_ = true;
  do {
    again_ = false;
    pay_next(now_ms);
  } while (again_);
  in_tend_ = false;
}

bool Debts::write_down(JournalChange change) {
  if (journal_.apply(std::move(change))) return true;
  pool_.runtime().log.error("pool {}: {}", pool_.config.name, journal_.problem());
  return false;
}

void Debts::pay_next(std::uint64_t now_ms) {
  for (auto at = journal_.debts().upper_bound(noticed_); at != journal_.debts().end(); ++at) {
    noticed_ = at->first;
    if (at->second.pool == pool_.config.name && at->second.noticed_ms == 0) at->second.noticed_ms = now_ms;
  }
  for (const auto& each : pool_.members) {
    Membership& membership = *each;
    if (reachable(membership, false) == nullptr) continue;  // then nothing can be paid there at all
    const auto next = [&](std::uint64_t after) {
      return (paying_ & membership.bit()) != 0 ? nullptr
                                               : journal_.next_of(pool_.config.name, membership.member.name(), after);
    };
    std::uint64_t number = 0;
    for (Debt* debt = next(0); debt != nullptr; debt = next(number)) {
      number = debt->number;
      if (debt->under_way || !debt->obstacle.empty() || locks_.contains(debt->identity) || !is_first(*debt)) continue;
      Place* place = reachable(membership, *debt);
      if (place == nullptr || (debt->kind == DebtKind::copy && is_unfinished(*debt))) continue;
      paying_ |= membership.bit();
      const Payment payment{number, debt->identity, membership.bit()};
      lock(payment.identity, [&] { pay(payment, *debt, membership, *place); });
    }
  }
}

void Debts::pay(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  switch (debt.kind) {
    case DebtKind::create: return pay_create(payment, debt, membership, place);
    case DebtKind::copy: return pay_copy(payment, debt, membership, place);
    case DebtKind::refresh: return pay_refresh(payment, debt, membership, place);
    case DebtKind::destroy: return pay_destroy(payment, place);
    case DebtKind::unfinished: return pay_unfinished(payment, debt, membership, place);
  }
}

Place* Debts::reachable(Membership& membership, bool is_private) {
  if (membership.health.wanted == Wanted::maint || membership.health.breaker.state() == Breaker::State::open)
    return nullptr;
  // While it is listed anew it may have what is not known again yet.
  const auto is_known = [](const Survey& survey) {
    return survey.current() && !survey.incomplete() && !survey.running();
  };
  // One worker of a member writes, not now this one and now that: some modules lose sight then of what the other makes.
  if (membership.logged_in) return is_known(membership.user_objects) ? &membership.member.user().place() : nullptr;
  return !is_private && is_known(membership.public_objects) ? &membership.member.public_place() : nullptr;
}

Place* Debts::reachable(Membership& membership, const Debt& debt) {
  Place* usual = reachable(membership, debt.is_private);
  if (usual == nullptr || debt.decided || !debt.anonymous()) return usual;
  const Survey& in_public = membership.public_objects;
  const bool is_known = in_public.current() && !in_public.incomplete() && !in_public.running();
  return is_known ? &membership.member.public_place() : nullptr;
}

// An attempt to pay is over, one way or the other. If the debt is gone with it there may be more to do at once.
void Debts::tried(const Payment& payment) {
  if (Debt* debt = journal_.find(payment.number)) debt->under_way = false;
  paying_ &= ~payment.bit;
  unlock(payment.identity);
  if (journal_.find(payment.number) != nullptr) return;
  again_ = true;
  if (!in_tend_) tend(pool_.runtime().now_ms());
}

// What is to be paid is there.
void Debts::settle(const Payment& payment) {
  paid(payment.number);
  tried(payment);
}

void Debts::paid(std::uint64_t number) {
  Debt* debt = journal_.find(number);
  if (debt == nullptr) return;
  JournalChange change;
  change.remove.push_back(number);
  if (!debt->decided) decide(change, debt->write);
  const Identity identity = debt->identity;
  const bool ends_it = debt->kind == DebtKind::destroy && !debt->decided;
  const std::uint64_t handle = debt->handle;
  Membership* membership = member_of(*debt);
  if (!journal_.apply(std::move(change))) {
    pool_.runtime().log.error("pool {}: {}; what is done there is done again", pool_.config.name, journal_.problem());
    return;
  }
  if (membership != nullptr && !owes(*membership, identity)) give_back(*membership, identity);
  if (ends_it) note_destroyed(identity, handle);
}

void Debts::decide(JournalChange& change, std::uint64_t write) {
  change.decide = write;
  const auto debts = journal_.of_write(write);
  for (const Debt* debt : debts) {
    const bool is_its_own = std::ranges::any_of(
        debts, [&](const Debt* other) { return !other->unsure() && other->identity == debt->identity; });
    if (debt->unsure() && !is_its_own && journal_.limit(debt->identity).value_or(UINT64_MAX) > debt->count)
      change.limits.emplace_back(debt->identity, debt->count);
  }
}

// A destruction that nobody was answered about has happened after all.
void Debts::note_destroyed(const Identity& identity, std::uint64_t handle) {
  const TokenObject* object = pool_.objects.find(handle);
  if (object == nullptr || object->identity != identity) return;
  for (const auto& each : pool_.members) {
    if (owes(*each, identity)) withhold(*each, identity);
    for (const Place* place : each->member.places())
      if (place->objects.real_of(handle) != 0) return;  // it was made again meanwhile
  }
  pool_.note_destroyed(handle);
}

void Debts::give_up(std::uint64_t write, const Identity& identity, std::optional<std::uint64_t> limit_before) {
  JournalChange change;
  std::set<Identity> about{identity};
  bool destroys = false;
  for (const Debt* debt : journal_.of_write(write)) {
    change.remove.push_back(debt->number);
    about.insert(debt->identity);
    destroys |= debt->kind == DebtKind::destroy;
  }
  if (destroys) change.limits.emplace_back(identity, limit_before);
  write_down(std::move(change));
  for (const auto& each : pool_.members)
    for (const Identity& owed : about)
      if (!owes(*each, owed)) give_back(*each, owed);
}

void Debts::met_obstacle(Debt& debt, const std::string& what) {
  if (debt.obstacle.empty())
    pool_.runtime().log.warn("pool {}: member {} owes a write to object \"{}\" and cannot pay it: {}",
                             pool_.config.name, debt.member, debt.label, what);
  debt.obstacle = what;
}

std::vector<Debts::Held>& Debts::held(Place& place) {
  HeldIn& in = held_[&place];
  if (in.generation != place.worker.generation()) in = {place.worker.generation(), {}};
  return in.objects;
}

const std::vector<Debts::Held>* Debts::held_if_any(const Place& place) const {
  const auto found = held_.find(&place);
  return found != held_.end() && found->second.generation == place.worker.generation() ? &found->second.objects
                                                                                       : nullptr;
}

void Debts::hold(Place& place, Held seen) {
  std::vector<Held>& objects = held(place);
  for (Held& each : objects)
    if (each.real == seen.real) return void((each.returned |= seen.returned, each.proven |= seen.proven));
  objects.push_back(std::move(seen));
}

std::uint64_t Debts::served(const Place& place, const Identity& identity) const {
  const auto handles = pool_.objects.handles_of(identity);
  return static_cast<std::uint64_t>(
      std::ranges::count_if(handles, [&](std::uint64_t handle) { return place.objects.real_of(handle) != 0; }));
}

bool Debts::keeps_back(Place& place, const Description& seen, const Identity& identity, bool created) {
  if (place.objects.handle_of(seen.object) != 0) return false;
  Membership& membership = pool_.of(place);
  const auto limit = journal_.limit(identity);
  const std::uint64_t count = limit ? served(place, identity) : 0;
  if (created) {
    forget_held(place, seen.object);
    JournalChange change;
    std::uint64_t most = count + 1;
    for (const Debt* debt : journal_.about(identity))  // what is destroyed there is what was there before
      if (debt->kind == DebtKind::destroy && member_of(*debt) == &membership)
        most = std::max(most, ++change.amend.emplace_back(*debt).count);
    if (limit && most > *limit) change.limits.emplace_back(identity, most);
    const bool changes = !change.limits.empty() || !change.amend.empty();
    if (changes) write_down(std::move(change));
    return false;
  }
  Held object{identity, seen.object, std::string(seen.label.begin(), seen.label.end())};
  object.object_class = seen.object_class;
  object.id.assign(seen.id.begin(), seen.id.end());
  object.is_private = seen.is_private;
  object.proven = seen.proof;
  if (owes(membership, identity) || is_left_over(membership, object)) return hold(place, std::move(object)), true;
  if (!limit || count < *limit) return forget_held(place, seen.object), false;
  // Whether it really came back is looked up, unless it may have been made again: then the debt of that decides.
  object.returned = creations_of(membership, object) == 0;
  hold(place, std::move(object));
  return true;
}

void Debts::withhold(Membership& membership, const Identity& identity) {
  for (Place* place : {&membership.member.public_place(), &membership.member.user().place()})
    for (const std::uint64_t handle : pool_.objects.handles_of(identity)) {
      const std::uint64_t real = place->objects.real_of(handle);
      if (real == 0) continue;
      const TokenObject& object = *pool_.objects.find(handle);
      place->objects.unbind_handle(handle);
      Held seen{identity, real, object.label, object.object_class, object.id, object.is_private};
      seen.proven = object.by_content;
      seen.handle = handle;
      hold(*place, std::move(seen));
    }
}

bool Debts::holds(const Place& place, const Identity& identity) const {
  const auto* objects = held_if_any(place);
  return objects != nullptr &&
         std::ranges::any_of(*objects, [&](const Held& each) { return each.identity == identity; });
}

void Debts::add_held(Place& place, std::vector<std::uint64_t>& reals) {
  for (const Held& each : held(place)) reals.push_back(each.real);
}

void Debts::forget_held(Place& place, std::uint64_t real) {
  std::erase_if(held(place), [&](const Held& each) { return each.real == real; });
}

void Debts::miss_held(Place& place, std::uint64_t real) {
  std::vector<Held>& objects = held(place);
  const auto missed = std::ranges::find(objects, real, &Held::real);
  if (missed == objects.end()) return;
  for (Debt* debt : journal_.about(missed->identity))
    if (member_of(*debt) == &pool_.of(place)) doubt(*debt);
  objects.erase(missed);
}

// What is left of them there is served again, as it is now. It stays held until that is known: no moment may pass in which a
// member has something and nobody knows.
void Debts::give_back(Membership& membership, const Identity& identity) {
  for (Survey* survey : {&membership.public_objects, &membership.user_objects}) {
    Place& place = survey->place();
    std::vector<std::uint64_t> reals;
    for (const Held& each : held(place))
      if (each.identity == identity && !each.returned) reals.push_back(each.real);
    if (reals.empty() || !survey->current()) continue;
    Errand::describe(place, reals, [this, survey, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
      if (alive.expired()) return;
      if (reply == nullptr) return survey->doubt(pool_.runtime().now_ms());
      In in(reply->annex);
      Description now;
      while (in.remaining() != 0 && read_description(in, now))
        if (!now.readable) forget_held(survey->place(), now.object);
      survey->take_described(reply->annex, [this](const auto&) { pool_.changed.resume_all(); });
    });
  }
}

}  // namespace p11shim
