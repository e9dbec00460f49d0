// How each kind of debt is paid. A debt that cannot be paid now stays and is tried again; one that its member refuses stays
// as well, since what it would serve otherwise was destroyed or is out of date.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr char kAmbiguous[] =
    "several there look the same, and nothing proves which one is meant: do it there by its vendor's means, then "
    "shimctl pool sync";

// By its member, for more than a moment. What nobody was promised need not be tried for ever: with a code that may be a policy's,
// or wanted without a login where one is needed, it is refused as well.
bool is_refused(const Debt& debt, CK_RV rv) {
  if (rv == CKR_USER_NOT_LOGGED_IN) return !debt.decided && debt.anonymous();
  return blame_of(rv) == Blame::nobody || (blame_of(rv) == Blame::suspect && !debt.decided);
}

}  // namespace

// Of its member's debts about that object.
bool Debts::is_first(const Debt& debt) {
  if (debt.creates()) return true;
  for (const Debt* each : journal_.about(debt.identity))
    if (each->pool == debt.pool && each->member == debt.member) return each->number == debt.number;
  return true;
}

std::vector<std::uint64_t> Debts::reals_of(Place& place, const Identity& identity) {
  std::vector<std::uint64_t> reals;
  for (const std::uint64_t handle : pool_.objects.handles_of(identity))
    if (const std::uint64_t real = place.objects.real_of(handle); real != 0) reals.push_back(real);
  for (const Held& each : held(place))
    if (each.identity == identity) reals.push_back(each.real);
  return reals;
}

// How many of them the member's debts of this kind are about. Several changes of one object are about one.
std::size_t Debts::meant_there(const Debt& debt) {
  std::size_t meant = 0;
  std::set<std::uint64_t> changed;
  for (const Debt* each : journal_.about(debt.identity))
    if (each->kind == debt.kind && each->pool == debt.pool && each->member == debt.member)
      meant += each->kind != DebtKind::refresh || each->handle == 0 || changed.insert(each->handle).second;
  return meant;
}

// All are meant where as many are owed. One that this process has served is known by its handle.
bool Debts::is_ambiguous(const Debt& debt, Place& place, std::span<const std::uint64_t> reals) {
  if (reals.size() <= meant_there(debt)) return false;
  const auto& objects = held(place);
  const auto is_its = [&](const Held& each) { return each.identity == debt.identity; };
  const auto is_meant = [&](const Held& each) { return is_its(each) && each.handle == debt.handle; };
  if (debt.handle != 0 && std::ranges::any_of(objects, is_meant)) return false;
  return std::ranges::any_of(objects, [&](const Held& each) { return is_its(each) && !each.proven; });
}

// Of twins, the one that looks most like what was to be written to.
std::uint64_t Debts::meant_by(const Debt& debt, Place& place) {
  std::uint64_t meant = 0;
  int best = 0;
  for (const Held& each : held(place)) {
    if (each.identity != debt.identity || each.label != debt.label) continue;
    const int rank = debt.handle != 0 && each.handle == debt.handle ? 3 : each.id == debt.id ? 2 : 1;
    if (rank >= best) meant = each.real, best = rank;
  }
  return meant;
}

bool Debts::is_sure(const Debt& debt, Membership& membership, Place& place) {
  Survey& survey = membership.survey_of(place);
  const bool doubted = debt.doubted_ms != 0 && member_of(debt) == &membership;
  if (doubted && place.worker.started_ms() <= debt.doubted_ms && survey.can_renew()) {
    survey.renew("nobody knows what came of a write to object \"" + debt.label + "\"");
    return false;
  }
  if (survey.may_show(debt)) return false;
  if (survey.looked_twice_since(std::max(debt.noticed_ms, debt.doubted_ms))) return true;
  survey.doubt(pool_.runtime().now_ms());
  return false;
}

void Debts::doubt(Debt& debt) {
  debt.doubted_ms = pool_.runtime().now_ms();
  if (Membership* membership = member_of(debt))
    for (Survey* survey : {&membership->public_objects, &membership->user_objects}) survey->doubt(debt.doubted_ms);
}

bool Debts::is_gone(const Debt& debt) {
  bool all_sure = true;
  for (const auto& each : pool_.members) {
    Place* place = reachable(*each, debt.is_private);
    const bool shown = !reals_of(each->member.public_place(), debt.identity).empty() ||
                       !reals_of(each->member.user().place(), debt.identity).empty();
    if (place == nullptr || shown) return false;
    all_sure &= is_sure(debt, *each, *place);
  }
  return all_sure;
}

void Debts::forget_real(Place& place, const Identity& identity, std::uint64_t real) {
  if (const std::uint64_t handle = place.objects.handle_of(real); handle != 0) place.objects.unbind_handle(handle);
  std::erase_if(held(place), [&](const Held& each) { return each.real == real; });
  // The member's other worker knows it by another handle.
  Membership& membership = pool_.of(place);
  for (Survey* other : {&membership.public_objects, &membership.user_objects}) {
    if (&other->place() == &place) continue;
    const std::size_t left = reals_of(place, identity).size();
    auto others = reals_of(other->place(), identity);
    if (others.size() <= left) continue;
    for (const std::uint64_t gone : others) {
      if (const std::uint64_t handle = other->place().objects.handle_of(gone); handle != 0)
        other->place().objects.unbind_handle(handle);
      std::erase_if(held(other->place()), [&](const Held& each) { return each.real == gone; });
    }
    if (left != 0) other->doubt(pool_.runtime().now_ms());
  }
}

Place* Debts::source_for(const Membership& debtor, const Identity& identity, std::uint64_t& real) {
  for (const auto& each : pool_.members) {
    if (each.get() == &debtor || each->health.breaker.state() == Breaker::State::open) continue;
    for (const bool logged_in : {true, false}) {
      Place* place = pool_.place_of(*each, logged_in);
      if (place == nullptr) continue;
      for (const std::uint64_t handle : pool_.objects.handles_of(identity))
        if ((real = place->objects.real_of(handle)) != 0) return place;
    }
  }
  return nullptr;
}

void Debts::try_again(bool asked) {
  if (asked) {
    accept_doubtful();
    accept_changed();
  }
  for (auto& [number, debt] : journal_.debts()) {
    if (debt.pool != pool_.config.name || (debt.hopeless && !asked)) continue;
    debt.obstacle.clear();
    debt.hopeless = false;
  }
}

// What nothing could tell apart the operator has changed by its vendor's means.
void Debts::accept_changed() {
  JournalChange change;
  std::vector<std::pair<Membership*, Identity>> served;
  for (const auto& [number, debt] : journal_.debts()) {
    if (debt.pool != pool_.config.name || debt.kind != DebtKind::refresh || debt.obstacle != kAmbiguous) continue;
    change.remove.push_back(number);
    if (Membership* membership = member_of(debt)) served.emplace_back(membership, debt.identity);
  }
  if (change.remove.empty() || !write_down(std::move(change))) return;
  for (const auto& [membership, identity] : served)
    if (!owes(*membership, identity)) give_back(*membership, identity);
}

void Debts::forget_member(const std::string& name) {
  JournalChange change;
  for (const Debt* debt = journal_.next_of(pool_.config.name, name, 0); debt != nullptr;
       debt = journal_.next_of(pool_.config.name, name, debt->number))
    change.remove.push_back(debt->number);
  if (change.remove.empty()) return;
  pool_.runtime().log.warn("pool {}: member {} leaves and still owes {} writes: nobody pays them", pool_.config.name,
                           name, change.remove.size());
  write_down(std::move(change));
}

void Debts::pay_destroy(const Payment& payment, Place& place) {
  Debt* debt = journal_.find(payment.number);
  Membership* owing = debt != nullptr ? member_of(*debt) : nullptr;
  if (owing == nullptr || reachable(*owing, *debt) != &place) return tried(payment);
  const auto reals = reals_of(place, debt->identity);
  // It is there: what `count` allows may include what only a new process takes for it.
  const auto is_it = [&](const Held& each) { return each.identity == debt->identity && each.handle == debt->handle; };
  const bool is_there = debt->handle != 0 && !debt->unsure() && std::ranges::any_of(held(place), is_it);
  bool is_hidden = false;
  if (reals.size() <= debt->count && !is_there) {
    if (!is_sure(*debt, *owing, place)) return tried(payment);
    const auto hidden = hidden_in(place, *debt);
    is_hidden = hidden && hidden->identity != debt->identity && !debt->unsure();
    if (!is_hidden) return settle(payment);
    if (debt->decided) {
      leave_hidden(*debt, *owing, *hidden);
      return tried(payment);
    }
  }
  if (is_hidden || debt->unsure() || is_ambiguous(*debt, place, reals)) {
    const std::uint64_t write = debt->write;
    debt->hopeless = true;
    met_obstacle(*debt, kAmbiguous);
    if (debt->decided) leave_to_operator(*debt, reals.size());
    tried(payment);
    return end_write_if_refused(write);
  }
  const std::uint64_t meant = meant_by(*debt, place);
  const std::uint64_t victim = meant != 0 ? meant : reals.back();
  debt->under_way = true;
  Errand::change(place, number_of<&List::C_DestroyObject>(), victim, {},
                 [this, payment, victim, &place, generation = place.worker.generation(),
                  alive = std::weak_ptr<char>(alive_)](Reply* reply) {
                   if (alive.expired()) return;
                   const bool gone = reply != nullptr && generation == place.worker.generation() &&
                                     (reply->rv == CKR_OK || misses_object(reply->rv));
                   if (gone) forget_real(place, payment.identity, victim);
                   Debt* owed = journal_.find(payment.number);
                   if (owed == nullptr) return tried(payment);  // nobody wants it any more
                   owed->under_way = false;
                   if (gone && reply->rv == CKR_OK && reals_of(place, owed->identity).size() <= owed->count)
                     return settle(payment);
                   if (gone && reply->rv == CKR_OK) return pay_destroy(payment, place);
                   if (gone) {  // or there by another handle, or out of sight
                     doubt(*owed);
                     return tried(payment);
                   }
                   const std::uint64_t write = owed->write;
                   if (reply != nullptr && is_refused(*owed, reply->rv))
                     met_obstacle(*owed, "C_DestroyObject: " + display(NameKind::ckr, reply->rv));
                   tried(payment);
                   end_write_if_refused(write);
                 });
}

// Nobody knows that anything of this write was done, and nobody will do it.
void Debts::end_write_if_refused(std::uint64_t write) {
  const Debt* first = nullptr;
  for (const Debt* debt : journal_.of_write(write)) {
    if (debt->decided || debt->obstacle.empty()) return;
    if (first == nullptr || !debt->unsure()) first = debt;
  }
  if (first == nullptr || first->kind != DebtKind::destroy) return;
  give_up(write, Identity(first->identity), first->limit_before());
}

// What the others have is the truth. If none has it and nobody was told that the change was made, this member's is.
void Debts::pay_refresh(const Payment& payment, Debt& debt, Membership& membership, Place& place) {
  const auto reals = reals_of(place, debt.identity);
  std::uint64_t theirs = 0;
  Place* source = source_for(membership, debt.identity, theirs);
  if (reals.empty() && !is_sure(debt, membership, place)) return tried(payment);
  if (reals.empty() || (source == nullptr && !debt.decided)) return settle(payment);
  if (source == nullptr) {
    // Who knew has left the pool: what one of the others has must do.
    const bool nobody_knows =
        std::ranges::all_of(pool_.members, [&](const auto& each) { return owes(*each, debt.identity); });
    return nobody_knows ? settle(payment) : tried(payment);
  }
  if (is_ambiguous(debt, place, reals)) {
    debt.hopeless = true;
    met_obstacle(debt, kAmbiguous);
    return tried(payment);
  }
  const std::uint64_t meant = meant_by(debt, place);
  const std::uint64_t mine = meant != 0 ? meant : reals.front();
  debt.under_way = true;
  Errand::call(*source, kReadTemplate, {theirs}, false, secret_copy(debt.details),
               [this, payment, mine, &place, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
                 if (alive.expired()) return;
                 if (reply == nullptr || reply->rv != CKR_OK || journal_.find(payment.number) == nullptr)
                   return tried(payment);
                 set_attributes(payment, place, mine, secret_copy(reply->body));
               });
}

void Debts::set_attributes(const Payment& payment, Place& place, std::uint64_t real, Buffer wanted) {
  const auto types = std::make_shared<Buffer>(secret_copy(journal_.find(payment.number)->details));
  const auto want = std::make_shared<Buffer>(std::move(wanted));
  Errand::call(
      place, kReadTemplate, {real}, false, secret_copy(types->bytes()),
      [=, this, &place, alive = std::weak_ptr<char>(alive_)](Reply* has) {
        if (alive.expired()) return;
        if (has == nullptr || journal_.find(payment.number) == nullptr) return tried(payment);
        if (has->rv == CKR_OK && std::ranges::equal(has->body, want->bytes())) return settle(payment);
        Errand::change(
            place, number_of<&List::C_SetAttributeValue>(), real, secret_copy(want->bytes()), [=, this](Reply* reply) {
              if (alive.expired()) return;
              const Debt* debt = journal_.find(payment.number);
              if (debt == nullptr || reply == nullptr || blame_of(reply->rv) != Blame::nobody ||
                  reply->rv == CKR_USER_NOT_LOGGED_IN)
                return tried(payment);
              if (reply->rv != CKR_OK && !misses_object(reply->rv))
                pool_.runtime().log.error(
                    "pool {}: member {} refuses to change object \"{}\" as the others have ({}): it stays different "
                    "there",
                    pool_.config.name, debt->member, debt->label, display(NameKind::ckr, reply->rv));
              settle(payment);
            });
      });
}

}  // namespace p11shim
