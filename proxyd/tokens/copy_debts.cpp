// Copies that members owe: what was made on one of them through the pool.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "calls/table.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/object_copy.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

constexpr char kLooksTheSame[] = "another one there looks the same, and nothing proves which is which";

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

bool Debts::cannot_be_copied(const Identity& identity, const Membership& to) const {
  return uncopied_.contains({identity, to.member.name()});
}

void Debts::add_copies(JournalChange& change, const TokenObject& object, const Membership& made_on) const {
  if (object.counted) return;  // two that are used up apart are not the same key
  if (object.fleeting)
    return pool_.runtime().log.warn("pool {}: object \"{}\" stays on member {}: {}", pool_.config.name, object.label,
                                    made_on.member.name(), kLooksTheSame);
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
  debt.count = pool_.twins_on(object.identity, nullptr);
  debt.object_class = object.object_class;
  debt.is_private = object.is_private;
  debt.id = object.id;
  debt.label = object.label;
}

void Debts::pay_copy(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  // An earlier attempt may have made it.
  if (reals_of(place, debt.identity).size() < debt.count && !is_sure(debt, membership, place)) return tried(payment);
  debt.under_way = true;
  copy(payment.number, place, [this, payment](CopyOutcome) { tried(payment); });
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
  if (debt->hopeless) return done(CopyOutcome::later);
  if (from == nullptr) {
    // Everybody was asked and nobody has it: it was removed behind our back.
    if (!is_gone(*debt)) return done(CopyOutcome::later);
    pool_.runtime().log.warn("pool {}: object \"{}\" is on no member any more: it is not copied to member {}",
                             pool_.config.name, debt->label, debt->member);
    return drop(CopyOutcome::impossible);
  }
  if (const TokenObject* original = pool_.objects.find(from->objects.handle_of(real));
      original != nullptr && original->fleeting) {
    pool_.runtime().log.warn("pool {}: object \"{}\" is not copied to member {}: {}", pool_.config.name, debt->label,
                             debt->member, kLooksTheSame);
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
                    if (owed == nullptr) return done(CopyOutcome::later);
                    if (outcome == ObjectCopy::Outcome::done) return bind_copy(number, to, annex, done);
                    if (generation != to.worker.generation()) return done(CopyOutcome::later);
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
                    uncopied_.emplace(owed->identity, owed->member);
                    paid(number);
                    done(CopyOutcome::impossible);
                  });
}

void Debts::bind_copy(std::uint64_t number, Place& to, std::span<const std::uint8_t> annex, Copied done) {
  const Identity identity = journal_.find(number)->identity;
  bind_made(to, annex, identity, [this, number, identity, &to, done = std::move(done)](Bound bound) {
    Debt* debt = journal_.find(number);
    if (debt == nullptr) return done(CopyOutcome::later);
    if (bound == Bound::other) {
      met_obstacle(*debt,
                   "what was made there is not the same, or looks like another key; shimctl pool sync tries again");
      debt->hopeless = true;
      return done(CopyOutcome::later);
    }
    if (bound == Bound::unknown) doubt(*debt);
    if (reals_of(to, identity).size() < debt->count) return done(CopyOutcome::later);
    paid(number);
    done(CopyOutcome::done);
  });
}

void Debts::bind_made(Place& to, std::span<const std::uint8_t> annex, const Identity& identity,
                      std::function<void(Bound)> done) {
  In in(annex);
  Description description;
  if (in.remaining() == 0 || !read_description(in, description)) return done(Bound::unknown);
  if (!description.readable) return look_at_made(to, description.object, identity, std::move(done));
  const auto made = std::make_shared<const UnprovenKey>(description);
  // Not as something new: it may have been destroyed meanwhile, and is withheld then.
  pool_.of(to).survey_of(to).take_described(
      annex, [this, made, identity, &to, generation = to.worker.generation(), done = std::move(done),
              alive = std::weak_ptr<char>(alive_)](const auto&) {
        if (alive.expired()) return;
        const bool is_there = generation == to.worker.generation();
        const Bound bound = is_there ? judge_made(to, *made, identity) : Bound::unknown;
        if (bound == Bound::unknown && !made->plain.proof)  // if nothing proves it when it is checked later
          pool_.note_origin(to, made->described(nullptr), identity);
        if (bound == Bound::known || !is_there) return done(bound);
        // A copy that nothing proves would never be found beside it, and be made again and again.
        const bool looks_like_another = pool_.has_look_alike(to, made->described(nullptr));
        if (bound == Bound::unknown && !looks_like_another) return done(bound);
        destroy_made(to, made->plain.object, [done] { done(Bound::other); });
      });
}

// It could not be read when it was made: nobody would know it as a copy if nothing proves it.
void Debts::look_at_made(Place& to, std::uint64_t real, const Identity& identity, std::function<void(Bound)> done) {
  const auto looked = [this, &to, real, identity, done = std::move(done), generation = to.worker.generation(),
                       alive = std::weak_ptr<char>(alive_)](Reply* reply) {
    if (alive.expired()) return;
    if (generation != to.worker.generation()) return done(Bound::unknown);
    In in(reply != nullptr ? reply->annex : std::span<const std::uint8_t>());
    Description description;
    if (in.remaining() != 0 && read_description(in, description) && description.readable)
      return bind_made(to, reply->annex, identity, done);
    destroy_made(to, real, [done] { done(Bound::unknown); });
  };
  Errand::describe(to, {real}, looked);
}

void Debts::destroy_made(Place& to, std::uint64_t real, std::function<void()> done) {
  const auto destroyed = [this, real, &to, done = std::move(done), alive = std::weak_ptr<char>(alive_)](Reply* reply) {
    if (alive.expired()) return;
    if (reply != nullptr && reply->rv == CKR_OK) {
      if (const std::uint64_t handle = to.objects.handle_of(real); handle != 0) to.objects.unbind_handle(handle);
      forget_held(to, real);
    }
    pool_.of(to).survey_of(to).doubt(pool_.runtime().now_ms());
    done();
  };
  Errand::call(to, number_of<&CK_FUNCTION_LIST_3_0::C_DestroyObject>(), {real}, true, {}, destroyed,
               to.worker.generation());
}

// What two members prove by different checks, or one of them by none, is not another value because of that. What cannot be told
// from a key that is there already is not kept.
Debts::Bound Debts::judge_made(Place& to, const UnprovenKey& made, const Identity& identity) {
  const std::uint64_t real = made.plain.object;
  const auto& objects = held(to);
  const auto withheld = std::ranges::find(objects, real, &Held::real);
  const std::uint64_t handle = to.objects.handle_of(real);
  const TokenObject* object = handle != 0 ? pool_.objects.find(handle) : nullptr;
  const Identity* seen_as = object != nullptr           ? &object->identity
                            : withheld != objects.end() ? &withheld->identity
                                                        : nullptr;
  if (seen_as == nullptr) return Bound::unknown;
  if (object != nullptr && object->fleeting) return Bound::other;
  if (*seen_as == identity) return Bound::known;
  for (const std::uint64_t twin : pool_.objects.handles_of(identity)) {
    const TokenObject& original = *pool_.objects.find(twin);
    if (object != nullptr && object->proven && original.proven && original.check == object->check) return Bound::other;
  }
  if ((object == nullptr || !object->proven) && reals_of(to, *seen_as).size() > 1) return Bound::other;
  if (object != nullptr && object->proven) {
    JournalChange change;
    change.origins.emplace_back(object->identity, identity);
    write_down(std::move(change));
  }
  const Description description = made.described(nullptr);
  pool_.note_origin(to, description, identity);
  forget_held(to, real);
  if (object != nullptr) {
    const std::uint64_t here = pool_.of(to).bit();
    to.objects.unbind_handle(handle);
    if (object->members == here) pool_.note_destroyed(handle);
    else pool_.objects.unseen(handle, pool_.of(to).number);
  }
  const bool is_bound = pool_.bind(to, description, {});
  return is_bound && std::ranges::count(reals_of(to, identity), real) != 0 ? Bound::known : Bound::unknown;
}

void Debts::look_for_creation(std::uint64_t number) {
  Debt* debt = journal_.find(number);
  if (debt == nullptr) return;
  debt->under_way = false;
  debt->noticed_ms = pool_.runtime().now_ms();
}

std::size_t Debts::creations_of(const Membership& membership, const Held& seen) const {
  const auto named = journal_.creations(seen.object_class, seen.id, seen.label);
  return static_cast<std::size_t>(std::ranges::count_if(
      named, [&](const Debt* debt) { return debt->kind == DebtKind::create && member_of(*debt) == &membership; }));
}

bool Debts::take_back(const Debt& creation, Membership& membership, Place& place) {
  std::vector<Held*> again;
  for (Held& each : held(place))
    if (!each.returned && creation.names(each.object_class, each.id, each.label) && !owes(membership, each.identity) &&
        !is_left_over(membership, each))
      again.push_back(&each);
  if (again.empty()) return false;
  // Each creation has made one: more than that came back.
  if (again.size() > creations_of(membership, *again.front())) {
    for (Held* each : again) each->returned = true;
    return false;
  }
  const Identity identity = again.front()->identity;
  const std::uint64_t count = served(place, identity);
  if (is_locked(identity)) return true;
  JournalChange change;
  if (journal_.limit(identity).value_or(UINT64_MAX) <= count) change.limits.emplace_back(identity, count + 1);
  if (change.limits.empty()) return true;  // it is being looked at
  if (write_down(std::move(change))) give_back(membership, identity);
  return true;
}

// A creation of which nobody knows whether it was done. If it was, its object is there now: what looks like it is copied.
void Debts::pay_create(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  for (const Place* each : {&membership.member.public_place(), &membership.member.user().place()})
    if (each->worker.stuck_lanes() != 0) return tried(payment);  // it may be done yet
  if (!is_sure(debt, membership, place) || take_back(debt, membership, place)) return tried(payment);
  JournalChange change;
  change.remove.push_back(payment.number);
  bool later = false;
  pool_.objects.for_each([&](const TokenObject& object) {
    if (object.object_class != debt.object_class || object.label != debt.label || object.id != debt.id ||
        !copies(object.object_class) || place.objects.real_of(object.handle) == 0)
      return;
    later |= is_locked(object.identity);  // it may be on its way out
    add_copies(change, object, membership);
  });
  if (later) return tried(payment);
  const std::size_t count = change.add.size();
  if (!write_down(std::move(change))) return tried(payment);
  if (count != 0)
    pool_.runtime().log.info("pool {}: a creation on member {} had no answer: {} copies are made", pool_.config.name,
                             membership.member.name(), count);
  tried(payment);
}

}  // namespace p11shim
