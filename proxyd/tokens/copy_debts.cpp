// Copies that members owe: what was made on one of them through the pool.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/tokens/object_copy.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

bool is_key(CK_OBJECT_CLASS object_class) { return object_class == CKO_PRIVATE_KEY || object_class == CKO_SECRET_KEY; }

}  // namespace

bool Debts::copies(CK_OBJECT_CLASS object_class) const {
  const Replication replication = pool_.config.balance.replication;
  return replication == Replication::wrap || (replication == Replication::public_objects && !is_key(object_class));
}

bool Debts::trusted(const Place& from, const Place& to) const {
  const auto found = trusted_.find({&from, &to});
  return found != trusted_.end() && found->second == std::pair(from.worker.generation(), to.worker.generation());
}

void Debts::trust(const Place& from, const Place& to) {
  trusted_[{&from, &to}] = {from.worker.generation(), to.worker.generation()};
}

void Debts::add_copies(JournalChange& change, const TokenObject& object, const Membership& made_on) const {
  if (object.counted) return;  // two that are used up apart are not the same key
  for (const auto& each : pool_.members)
    if (each.get() != &made_on) add_copy(change, object, *each);
}

void Debts::add_copy(JournalChange& change, const TokenObject& object, const Membership& to) const {
  Debt& debt = change.add.emplace_back();
  debt.kind = DebtKind::copy;
  debt.decided = true;
  debt.pool = pool_.config.name;
  debt.member = to.member.name();
  debt.identity = object.identity;
  debt.handle = object.handle;
  debt.count = pool_.objects.handles_of(object.identity).size();
  debt.object_class = object.object_class;
  debt.is_private = object.is_private;
  debt.id = object.id;
  debt.label = object.label;
}

void Debts::pay_copy(Debt& debt, Membership& membership, Place& place) {
  const std::uint64_t number = debt.number;
  // An earlier attempt may have made it.
  if (reals_of(place, debt.identity).size() < debt.count && !is_sure(debt, membership, place)) return tried(number);
  debt.under_way = true;
  copy(number, place, [this, number, identity = debt.identity, bit = membership.bit()](CopyOutcome) {
    paying_ &= ~bit;
    Debt* still = journal_.find(number);
    if (still != nullptr) still->under_way = false;
    unlock(identity);
    again_ = still == nullptr;
    if (again_ && !in_tend_) tend(pool_.runtime().now_ms());
  });
}

// The caller holds the object's lock.
void Debts::copy(std::uint64_t number, Place& to, Copied done) {
  Debt* debt = journal_.find(number);
  if (debt == nullptr) return done(CopyOutcome::done);
  Membership& membership = pool_.of(to);
  std::uint64_t real = 0;
  Place* from = source_for(membership, debt->identity, real);
  const Identity identity = debt->identity;
  const auto drop = [&](CopyOutcome outcome) {
    paid(number);
    done(outcome);
  };
  // What was destroyed, or only seems to be there still, is no copy.
  if (std::ranges::any_of(held(to), [&](const Held& each) { return each.identity == identity && each.returned; }))
    return done(CopyOutcome::later);
  if (reals_of(to, identity).size() >= debt->count) return drop(CopyOutcome::done);
  if (from == nullptr) {
    // Everybody was asked and nobody has it: it was removed behind our back.
    if (!is_gone(*debt)) return done(CopyOutcome::later);
    pool_.runtime().log.warn("pool {}: object \"{}\" is on no member any more: it is not copied to member {}",
                             pool_.config.name, debt->label, debt->member);
    return drop(CopyOutcome::impossible);
  }
  const auto over = [&membership, creation = membership.creations.begin(),
                     done = std::move(done)](CopyOutcome outcome) {
    membership.creations.end(creation);
    done(outcome);
  };
  ObjectCopy::run(pool_, {from, real, &to, is_key(debt->object_class)},
                  [this, number, &to, done = Copied(over), generation = to.worker.generation(),
                   alive = std::weak_ptr<char>(alive_)](ObjectCopy::Outcome outcome, const std::string& why,
                                                        std::span<const std::uint8_t> annex) {
                    if (alive.expired()) return;
                    Debt* owed = journal_.find(number);
                    if (owed != nullptr && outcome == ObjectCopy::Outcome::unclear) doubt(*owed);
                    if (owed == nullptr || generation != to.worker.generation()) return done(CopyOutcome::later);
                    if (outcome == ObjectCopy::Outcome::done) return bind_copy(number, to, annex, done);
                    if (outcome != ObjectCopy::Outcome::impossible) {
                      if (outcome == ObjectCopy::Outcome::hindered) met_obstacle(*owed, why);
                      else
                        pool_.runtime().log.info("pool {}: object \"{}\" is not copied to member {} yet: {}",
                                                 pool_.config.name, owed->label, owed->member, why);
                      return done(CopyOutcome::later);
                    }
                    pool_.runtime().log.warn(
                        "pool {}: object \"{}\" cannot be copied to member {} and stays where it was made: {}",
                        pool_.config.name, owed->label, owed->member, why);
                    paid(number);
                    done(CopyOutcome::impossible);
                  });
}

// The copy is known as what it is a copy of: by what proves it, or because it was just made.
void Debts::bind_copy(std::uint64_t number, Place& to, std::span<const std::uint8_t> annex, Copied done) {
  const Identity identity = journal_.find(number)->identity;
  Membership& membership = pool_.of(to);
  bool proven = true;
  for (const std::uint64_t handle : pool_.objects.handles_of(identity)) proven &= pool_.objects.find(handle)->proven;
  In in(annex);
  Description description;
  while (!proven && in.remaining() != 0 && read_description(in, description))
    pool_.note_origin(to, description, identity);
  // Not as something new: it may have been destroyed meanwhile, and is withheld then.
  membership.survey_of(to).take_described(annex, [this, number, identity, &to, done = std::move(done)](const auto&) {
    Debt* debt = journal_.find(number);
    const bool is_known = debt != nullptr && reals_of(to, identity).size() >= debt->count;
    if (debt != nullptr && !is_known) doubt(*debt);  // it is there, and could not be checked
    if (!is_known) return done(CopyOutcome::later);
    paid(number);
    done(CopyOutcome::done);
  });
}

void Debts::look_for_creation(std::uint64_t number) {
  Debt* debt = journal_.find(number);
  if (debt == nullptr) return;
  debt->under_way = false;
  debt->noticed_ms = pool_.runtime().now_ms();
}

// A creation of which nobody knows whether it was done. If it was, its object is there now: what looks like it is copied.
void Debts::pay_create(Debt& debt, Membership& membership, Place& place) {
  const std::uint64_t number = debt.number;
  for (const Place* each : {&membership.member.public_place(), &membership.member.user().place()})
    if (each->worker.stuck_lanes() != 0) return tried(number);  // it may be done yet
  if (!is_sure(debt, membership, place)) return tried(number);
  JournalChange change;
  change.remove.push_back(number);
  bool later = false;
  pool_.objects.for_each([&](const TokenObject& object) {
    if (object.object_class != debt.object_class || object.label != debt.label || object.id != debt.id ||
        !copies(object.object_class) || place.objects.real_of(object.handle) == 0)
      return;
    later |= is_locked(object.identity);  // it may be on its way out
    add_copies(change, object, membership);
  });
  if (later) return tried(number);
  const std::size_t count = change.add.size();
  const Identity identity = debt.identity;
  if (!journal_.apply(std::move(change))) {
    pool_.runtime().log.error("pool {}: {}", pool_.config.name, journal_.problem());
    return tried(number);
  }
  if (count != 0)
    pool_.runtime().log.info("pool {}: a creation on member {} had no answer: {} copies are made", pool_.config.name,
                             membership.member.name(), count);
  paying_ &= ~membership.bit();
  unlock(identity);
}

}  // namespace p11shim
