// What a member shows again though it was destroyed: it was restored from an older backup, or somebody has imported it there. It is
// looked at twice, then the member serves nothing until the operator has decided.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <set>

#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {

// An object that was listed before it was destroyed is not there any more when it is looked at again; twice, since the first
// look may have begun before the destruction. One that was just made has been told of by then.
void Debts::check_returned(Membership& membership) {
  if ((checking_ & membership.bit()) != 0 || membership.creations.any()) return;
  for (Survey* survey : {&membership.public_objects, &membership.user_objects}) {
    Place& place = survey->place();
    std::vector<std::uint64_t> reals;
    for (const Held& each : held(place))
      if (each.returned && each.seen_again < 2 && !locks_.contains(each.identity)) reals.push_back(each.real);
    if (reals.empty() || !survey->current()) continue;
    checking_ |= membership.bit();
    return Errand::describe(
        place, std::move(reals), [this, &membership, &place, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
          if (alive.expired()) return;
          checking_ &= ~membership.bit();
          if (reply == nullptr) return;
          In in(reply->annex);
          Description now;
          std::vector<std::uint64_t> gone;
          bool confirmed = false;
          while (in.remaining() != 0 && read_description(in, now)) {
            if (!now.readable) gone.push_back(now.object);
            for (Held& each : held(place))
              if (now.readable && each.real == now.object && each.returned) confirmed |= ++each.seen_again == 2;
          }
          std::erase_if(held(place),
                        [&](const Held& each) { return std::ranges::find(gone, each.real) != gone.end(); });
          if (confirmed) distrust(membership);
        });
  }
}

std::size_t Debts::returned(const Membership& membership) const {
  std::size_t count = 0;
  for (const Place* place : {&membership.member.public_place(), &membership.member.user().place()})
    if (const auto* objects = held_if_any(*place))
      count = std::max<std::size_t>(
          count, std::ranges::count_if(*objects, [](const Held& each) { return each.seen_again >= 2; }));
  return count;
}

void Debts::distrust(Membership& membership) {
  const bool is_new = membership.distrust.empty();
  membership.distrust =
      "it shows objects that were destroyed (restored from an older backup?): shimctl pool sync destroys them again, "
      "shimctl member ready takes them back";
  if (is_new)
    pool_.runtime().log.error("pool {}: member {} is quarantined: {}", pool_.config.name, membership.member.name(),
                              membership.distrust);
}

// Of several that look the same, and that nothing proves, none is destroyed again: one of them may be what nobody has destroyed.
// The operator says which ones stay.
std::size_t Debts::destroy_returned(Membership& membership) {
  JournalChange change;
  std::map<Identity, std::uint64_t> owed;
  std::set<Identity> alike;
  for (Place* place : {&membership.member.public_place(), &membership.member.user().place()}) {
    std::map<Identity, std::uint64_t> here;
    for (Held& each : held(*place)) {
      if (each.seen_again < 2) continue;
      each.returned = false;
      each.seen_again = 0;
      if (alike.contains(each.identity)) continue;
      if (++here[each.identity] <= owed[each.identity]) continue;  // the member's other worker shows it, too
      ++owed[each.identity];
      Debt& debt = change.add.emplace_back();  // one for each
      debt.kind = DebtKind::destroy;
      debt.decided = true;
      debt.pool = pool_.config.name;
      debt.member = membership.member.name();
      debt.identity = each.identity;
      debt.count = journal_.limit(each.identity).value_or(0);
      debt.is_private = place != &membership.member.public_place();
      debt.label = each.label;
      const std::size_t shown = each.proven ? 1 : reals_of(*place, each.identity).size();
      if (shown <= 1) continue;
      alike.insert(each.identity);
      debt.count = std::max<std::uint64_t>(debt.count, shown - 1);
      debt.keep_limit(std::nullopt, Debt::kUnsure);
      change.limits.emplace_back(each.identity, debt.count);
    }
  }
  if (!owed.empty() && !journal_.apply(std::move(change))) return 0;
  for (const Identity& identity : alike) {
    withhold(membership, identity);
    pool_.objects.retire(identity);
    for (Place* place : {&membership.member.public_place(), &membership.member.user().place()})
      for (Held& each : held(*place))
        if (each.identity == identity) each.returned = false, each.seen_again = 0;
  }
  membership.distrust.clear();
  return owed.size();
}

std::size_t Debts::accept_returned(Membership& membership) {
  membership.distrust.clear();
  std::map<Identity, std::uint64_t> back;
  for (Place* place : {&membership.member.public_place(), &membership.member.user().place()}) {
    std::map<Identity, std::uint64_t> here;
    for (const Held& each : held(*place)) here[each.identity] += each.seen_again >= 2;
    for (const auto& [identity, count] : here) back[identity] = std::max(back[identity], count);
  }
  JournalChange change;
  for (const auto& [identity, count] : back)
    if (count != 0) change.limits.emplace_back(identity, journal_.limit(identity).value_or(0) + count);
  const std::size_t count = change.limits.size();
  if (count == 0 || !journal_.apply(std::move(change))) return 0;
  for (Place* place : {&membership.member.public_place(), &membership.member.user().place()})
    for (Held& each : held(*place)) each.returned = false, each.seen_again = 0;
  for (const auto& [identity, how_many] : back)
    if (!owes(membership, identity)) give_back(membership, identity);
  return count;
}

}  // namespace p11shim
