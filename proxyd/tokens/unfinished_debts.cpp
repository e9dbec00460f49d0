// Creations on several members at once (calls/sealed_creation.h) that were begun: one debt for each object and member says what
// is to be made there, by class, label and id, and what of that name is no work of theirs. Before the first copy is made what
// proves the object is added. The debt is deleted in the same moment in which the creation succeeds. After a failure or a crash
// what that proof shows to be the creation's was never acknowledged and is destroyed; until that is done it is not served.
// A name proves nothing: what else bears it stays, and the operator is told where it may be what the creation has left.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

constexpr char kDoubt[] =
    "a creation that failed may have left it, and nothing proves that: it stays. Destroy it if it is nobody's; shimctl "
    "pool sync ends this";

// A debt's details: identities, each with one byte that says what it is here.
enum class Mark : std::uint8_t {
  known = 0,      // there before, or made by others since: the debt is not about it
  was_there = 1,  // the same, in journals of before
  made = 2,       // what the creation makes
  doubtful = 3,   // of that name, and nothing proves whose work it is: it stays, and the operator is told
};
constexpr std::size_t kEntry = sizeof(Identity) + 1;

void add_entry(Debt& debt, const Identity& identity, Mark mark = Mark::known) {
  debt.details.insert(debt.details.end(), identity.begin(), identity.end());
  debt.details.push_back(static_cast<std::uint8_t>(mark));
}

template <class Fn>
bool any_entry(const Debt& debt, Fn fn) {
  for (std::size_t at = 0; at + kEntry <= debt.details.size(); at += kEntry) {
    Identity identity;
    std::memcpy(identity.data(), debt.details.data() + at, identity.size());
    if (fn(identity, static_cast<Mark>(debt.details[at + identity.size()]))) return true;
  }
  return false;
}

bool lists(const Debt& debt, const Identity& wanted) {
  return any_entry(debt, [&](const Identity& identity, Mark mark) { return identity == wanted && mark != Mark::made; });
}

bool makes(const Debt& debt, const Identity& wanted) {
  return any_entry(debt, [&](const Identity& identity, Mark mark) { return identity == wanted && mark == Mark::made; });
}

bool doubts(const Debt& debt, const Identity& wanted) {
  return any_entry(debt,
                   [&](const Identity& identity, Mark mark) { return identity == wanted && mark == Mark::doubtful; });
}

bool has_doubts(const Debt& debt) {
  return any_entry(debt, [](const Identity&, Mark mark) { return mark == Mark::doubtful; });
}

bool names(const Debt& debt, const TokenObject& object) {
  return debt.names(object.object_class, object.id, object.label);
}

}  // namespace

std::optional<std::uint64_t> Debts::begin_creation(const std::vector<Debt>& made, std::uint64_t among) {
  JournalChange change;
  for (const auto& each : pool_.members) {
    if ((among & each->bit()) == 0) continue;
    for (const Debt& object : made) {
      Debt& debt = change.add.emplace_back(object);
      debt.kind = DebtKind::unfinished;
      debt.pool = pool_.config.name;
      debt.member = each->member.name();
      pool_.objects.for_each([&](const TokenObject& known) {
        if (names(debt, known)) add_entry(debt, known.identity);
      });
      for (const Place* place : {&each->member.public_place(), &each->member.user().place()})
        if (const auto* objects = held_if_any(*place))
          for (const Held& held : *objects)
            if (debt.names(held.object_class, held.id, held.label) && !lists(debt, held.identity))
              add_entry(debt, held.identity);
    }
  }
  const auto write = journal_.apply(std::move(change));
  if (!write) {
    pool_.runtime().log.error("pool {}: nothing was made: {}", pool_.config.name, journal_.problem());
    return write;
  }
  for (Debt* debt : journal_.of_write(*write)) debt->under_way = true;
  return write;
}

bool Debts::note_made(std::uint64_t write, CK_OBJECT_CLASS object_class, const Identity& identity) {
  JournalChange change;
  for (const Debt* debt : journal_.of_write(write))
    if (debt->object_class == object_class) add_entry(change.amend.emplace_back(*debt), identity, Mark::made);
  return change.amend.empty() || write_down(std::move(change));
}

bool Debts::finish_creation(std::uint64_t write, const std::vector<std::uint64_t>& handles, std::uint64_t unclear) {
  JournalChange change;
  remove_clear(change, write, unclear);
  add_acknowledged(change, handles, false);
  return write_down(std::move(change));
}

void Debts::fail_creation(std::uint64_t write, std::uint64_t unclear) {
  JournalChange change;
  remove_clear(change, write, unclear);
  write_down(std::move(change));  // or else it is looked up
}

void Debts::remove_clear(JournalChange& change, std::uint64_t write, std::uint64_t unclear) {
  for (Debt* debt : journal_.of_write(write)) {
    debt->under_way = false;
    debt->noticed_ms = pool_.runtime().now_ms();
    const Membership* membership = member_of(*debt);
    if (membership != nullptr && (unclear & membership->bit()) != 0) doubt(*debt);
    else change.remove.push_back(debt->number);
  }
}

void Debts::add_acknowledged(JournalChange& change, const std::vector<std::uint64_t>& handles, bool renamed) const {
  for (const Debt* debt : journal_.unfinished()) {
    if (debt->pool != pool_.config.name) continue;
    if (std::ranges::find(change.remove, debt->number) != change.remove.end()) continue;
    Debt amended = *debt;
    for (const std::uint64_t handle : handles)
      if (const TokenObject* object = pool_.objects.find(handle);
          object != nullptr && (renamed ? debt->object_class == object->object_class : names(*debt, *object)) &&
          !lists(amended, object->identity))
        add_entry(amended, object->identity);
    if (amended.details.size() != debt->details.size()) change.amend.push_back(std::move(amended));
  }
}

bool Debts::acknowledge(const std::vector<std::uint64_t>& handles, bool renamed) {
  JournalChange change;
  add_acknowledged(change, handles, renamed);
  return change.amend.empty() || write_down(std::move(change));
}

bool Debts::is_left_over(const Membership& membership, const Held& seen) const {
  const auto named = journal_.creations(seen.object_class, seen.id, seen.label);
  return std::ranges::any_of(named, [&](const Debt* debt) {
    return debt->kind == DebtKind::unfinished && !debt->under_way && member_of(*debt) == &membership &&
           (debt->is_private || !seen.is_private) && !lists(*debt, seen.identity);
  });
}

bool Debts::is_unfinished(const Debt& copy) const {
  const auto named = journal_.creations(copy.object_class, copy.id, copy.label);
  return std::ranges::any_of(named, [&](const Debt* debt) {
    return debt->kind == DebtKind::unfinished && debt->pool == copy.pool && !lists(*debt, copy.identity);
  });
}

void Debts::pay_unfinished(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  for (const Place* each : {&membership.member.public_place(), &membership.member.user().place()})
    if (each->worker.stuck_lanes() != 0) return tried(payment);  // it may be done yet
  // What is being made just now under that name is somebody else's, who has not been answered yet.
  std::size_t creations = 0;
  const auto named = journal_.creations(debt.object_class, debt.id, debt.label);
  for (const Debt* other : named) {
    if (other->pool != debt.pool) continue;
    if (other->under_way) return tried(payment);
    creations += other->kind == DebtKind::unfinished && other->member == debt.member;
  }
  if (membership.creations.any() || !is_sure(debt, membership, place)) return tried(payment);

  std::vector<Held> shown;
  for (const Held& each : held(place))
    if (debt.names(each.object_class, each.id, each.label)) shown.push_back(each);
  pool_.objects.for_each([&](const TokenObject& object) {
    const std::uint64_t real = place.objects.real_of(object.handle);
    if (real == 0 || !names(debt, object)) return;
    Held& served = shown.emplace_back(
        Held{object.identity, real, object.label, object.object_class, object.id, object.is_private});
    served.proven = object.by_content;
  });
  const bool has_doubtful = std::ranges::any_of(shown, [&](const Held& each) { return doubts(debt, each.identity); });
  std::erase_if(shown, [&](const Held& each) {
    return lists(debt, each.identity) || (each.is_private && !debt.is_private) || owes(membership, each.identity);
  });
  if (std::ranges::any_of(shown, [&](const Held& each) { return is_locked(each.identity); })) return tried(payment);

  const auto is_made = [&](const Held& each) { return each.proven && makes(debt, each.identity); };
  std::vector<Held> made, others;
  for (const Held& each : shown) (is_made(each) ? made : others).push_back(each);
  if (made.size() > creations) others.insert(others.end(), made.begin(), made.end()), made.clear();
  // Where its work was found, and where another such debt knows that one for its own, the rest is somebody else's.
  Debt amended = debt;
  bool tells = false;
  for (const Held& each : others) {
    const bool anothers = std::ranges::any_of(named, [&](const Debt* other) {
      return other->kind == DebtKind::unfinished && other->pool == debt.pool && other->member == debt.member &&
             other->number != debt.number && makes(*other, each.identity);
    });
    const bool is_doubtful = made.empty() && !anothers;
    if (!anothers) add_entry(amended, each.identity, is_doubtful ? Mark::doubtful : Mark::known);
    tells |= is_doubtful;
  }
  JournalChange change;
  if (!made.empty())
    add_undoing(change, debt, made.front().identity, reals_of(place, made.front().identity).size() - made.size());
  if (!tells && !has_doubtful) change.remove.push_back(payment.number);
  else change.amend.push_back(std::move(amended));
  const std::string label = debt.label;
  if (!write_down(std::move(change))) return tried(payment);
  for (const Held& each : made) withhold(membership, each.identity);
  for (const Held& each : others) give_back(membership, each.identity);
  if (tells || has_doubtful) debt.obstacle = kDoubt;
  if (tells)
    pool_.runtime().log.warn("pool {}: member {}, object \"{}\": {}", pool_.config.name, membership.member.name(),
                             label, kDoubt);
  if (!made.empty())
    pool_.runtime().log.info("pool {}: a creation of \"{}\" was not finished: what it left on member {} is destroyed",
                             pool_.config.name, label, membership.member.name());
  tried(payment);
}

// Of equal ones so many stay as are not the creation's. Nor is any of it copied.
void Debts::add_undoing(JournalChange& change, const Debt& debt, const Identity& made, std::size_t stay) const {
  Debt& again = change.add.emplace_back();
  again.kind = DebtKind::destroy;
  again.decided = true;
  again.pool = debt.pool;
  again.member = debt.member;
  again.identity = made;
  again.count = stay;
  again.object_class = debt.object_class;
  again.is_private = debt.is_private;
  again.id = debt.id;
  again.label = debt.label;
  for (const Debt* other : journal_.about(made))
    if (other->kind == DebtKind::copy && other->pool == debt.pool &&
        other->names(debt.object_class, debt.id, debt.label))
      change.remove.push_back(other->number);
}

void Debts::add_problems(std::vector<std::string>& all) const {
  for (const Debt* debt : journal_.unfinished())
    if (debt->pool == pool_.config.name && has_doubts(*debt))
      all.push_back("member " + debt->member + ", object \"" + debt->label + "\": " + kDoubt);
}

void Debts::accept_doubtful() {
  JournalChange change;
  for (const Debt* debt : journal_.unfinished())
    if (debt->pool == pool_.config.name && has_doubts(*debt)) change.remove.push_back(debt->number);
  if (!change.remove.empty()) write_down(std::move(change));
}

}  // namespace p11shim
