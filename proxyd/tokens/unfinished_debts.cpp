// Creations on several members at once (calls/sealed_creation.h) that were begun: one debt for each object and member says what
// is to be made there and what of that class, label and id is no work of theirs. It is deleted in the same moment in which the
// creation succeeds. After a failure or a crash everything else of that name there was never acknowledged and is destroyed;
// until that is done it is not served.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

// A debt's details: identities that it is not about, each with one byte: whether the member had it when this was begun.
constexpr std::size_t kEntry = sizeof(Identity) + 1;

void add_entry(Debt& debt, const Identity& identity, bool was_there) {
  debt.details.insert(debt.details.end(), identity.begin(), identity.end());
  debt.details.push_back(was_there ? 1 : 0);
}

template <class Fn>
void for_each_entry(const Debt& debt, Fn fn) {
  for (std::size_t at = 0; at + kEntry <= debt.details.size(); at += kEntry) {
    Identity identity;
    std::memcpy(identity.data(), debt.details.data() + at, identity.size());
    fn(identity, debt.details[at + identity.size()] != 0);
  }
}

bool lists(const Debt& debt, const Identity& wanted) {
  bool found = false;
  for_each_entry(debt, [&](const Identity& identity, bool) { found |= identity == wanted; });
  return found;
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
        if (names(debt, known)) add_entry(debt, known.identity, (known.members & each->bit()) != 0);
      });
      for (const Place* place : {&each->member.public_place(), &each->member.user().place()})
        if (const auto* objects = held_if_any(*place))
          for (const Held& held : *objects)
            if (debt.names(held.object_class, held.id, held.label) && !lists(debt, held.identity))
              add_entry(debt, held.identity, true);
    }
  }
  const auto write = journal_.apply(std::move(change));
  if (!write) {
    pool_.runtime().log.error("pool {}: nothing was made: {}", pool_.config.name, journal_.problem());
    return write;
  }
  for (auto& [number, debt] : journal_.debts())
    if (debt.write == *write) debt.under_way = true;
  return write;
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
  for (auto& [number, debt] : journal_.debts()) {
    if (debt.write != write) continue;
    debt.under_way = false;
    debt.noticed_ms = pool_.runtime().now_ms();
    const Membership* membership = member_of(debt);
    if (membership != nullptr && (unclear & membership->bit()) != 0) doubt(debt);
    else change.remove.push_back(number);
  }
}

void Debts::add_acknowledged(JournalChange& change, const std::vector<std::uint64_t>& handles, bool renamed) const {
  for (const auto& [number, debt] : journal_.debts()) {
    if (debt.kind != DebtKind::unfinished || debt.pool != pool_.config.name) continue;
    if (std::ranges::find(change.remove, number) != change.remove.end()) continue;
    Debt amended = debt;
    for (const std::uint64_t handle : handles)
      if (const TokenObject* object = pool_.objects.find(handle);
          object != nullptr && (renamed ? debt.object_class == object->object_class : names(debt, *object)) &&
          !lists(amended, object->identity))
        add_entry(amended, object->identity, false);
    if (amended.details.size() != debt.details.size()) change.amend.push_back(std::move(amended));
  }
}

bool Debts::acknowledge(const std::vector<std::uint64_t>& handles, bool renamed) {
  JournalChange change;
  add_acknowledged(change, handles, renamed);
  return change.amend.empty() || write_down(std::move(change));
}

bool Debts::is_left_over(const Membership& membership, const Held& seen) const {
  return std::ranges::any_of(journal_.debts(), [&](const auto& entry) {
    const Debt& debt = entry.second;
    return debt.kind == DebtKind::unfinished && !debt.under_way && member_of(debt) == &membership &&
           (debt.is_private || !seen.is_private) && debt.names(seen.object_class, seen.id, seen.label) &&
           !lists(debt, seen.identity);
  });
}

bool Debts::is_unfinished(const Debt& copy) const {
  return std::ranges::any_of(journal_.debts(), [&](const auto& entry) {
    const Debt& debt = entry.second;
    return debt.kind == DebtKind::unfinished && debt.pool == copy.pool &&
           debt.names(copy.object_class, copy.id, copy.label) && !lists(debt, copy.identity);
  });
}

void Debts::pay_unfinished(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  for (const Place* each : {&membership.member.public_place(), &membership.member.user().place()})
    if (each->worker.stuck_lanes() != 0) return tried(payment);  // it may be done yet
  // What is being made just now under that name is somebody else's, who has not been answered yet.
  std::size_t creations = 0;
  for (const auto& [number, other] : journal_.debts()) {
    const bool creates = other.kind == DebtKind::create || other.kind == DebtKind::unfinished;
    if (!creates || other.pool != debt.pool || !other.names(debt.object_class, debt.id, debt.label)) continue;
    if (other.under_way) return tried(payment);
    creations += other.kind == DebtKind::unfinished && other.member == debt.member;
  }
  if (membership.creations.any() || !is_sure(debt, membership, place)) return tried(payment);

  std::vector<Held> shown;
  for (const Held& each : held(place))
    if (debt.names(each.object_class, each.id, each.label)) shown.push_back(each);
  pool_.objects.for_each([&](const TokenObject& object) {
    const std::uint64_t real = place.objects.real_of(object.handle);
    if (real != 0 && names(debt, object))
      shown.push_back({object.identity, real, object.label, object.object_class, object.id, object.is_private});
  });
  std::size_t missing = 0;  // an object that changed what it is known by would be taken for what the creation has left
  for_each_entry(debt, [&](const Identity& identity, bool was_there) {
    missing +=
        was_there && !journal_.limit(identity) && std::ranges::find(shown, identity, &Held::identity) == shown.end();
  });
  std::erase_if(shown, [&](const Held& each) {
    return lists(debt, each.identity) || (each.is_private && !debt.is_private) || owes(membership, each.identity);
  });
  if (std::ranges::any_of(shown, [&](const Held& each) { return is_locked(each.identity); })) return tried(payment);

  JournalChange change;
  change.remove.push_back(payment.number);
  const bool stays = shown.size() > creations || (missing != 0 && !shown.empty());
  for (const Held& each : shown) {
    if (stays) break;
    Debt& again = change.add.emplace_back();
    again.kind = DebtKind::destroy;
    again.decided = true;
    again.pool = debt.pool;
    again.member = debt.member;
    again.identity = each.identity;
    again.object_class = debt.object_class;
    again.is_private = debt.is_private;
    again.id = debt.id;
    again.label = debt.label;
    for (const auto& [number, other] : journal_.debts())  // nor is it copied
      if (other.kind == DebtKind::copy && other.pool == debt.pool && other.identity == each.identity)
        change.remove.push_back(number);
  }
  const std::string label = debt.label;
  if (!write_down(std::move(change))) return tried(payment);
  for (const Held& each : shown) stays ? give_back(membership, each.identity) : withhold(membership, each.identity);
  if (stays)
    pool_.runtime().log.warn(
        "pool {}: member {} has {} objects \"{}\" of which nobody can say which one was left by a creation that "
        "failed: "
        "they stay",
        pool_.config.name, membership.member.name(), shown.size(), label);
  else if (!shown.empty())
    pool_.runtime().log.info("pool {}: a creation of \"{}\" was not finished: what it left on member {} is destroyed",
                             pool_.config.name, label, membership.member.name());
  tried(payment);
}

}  // namespace p11shim
