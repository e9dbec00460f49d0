// Destructions of what nobody can point at: on a member that shows several which look the same, and by nothing else can be told
// from each other. None of them is destroyed without proof, and none is served while it may be what was destroyed.
#include <algorithm>

#include "proxyd/tokens/pool.h"

namespace p11shim {

// They are other objects to everybody since a new process has shown them together, and what was known of the copy is not known of
// either.
std::optional<Debts::Hidden> Debts::hidden_in(Place& place, const Debt& debt) {
  std::optional<Identity> among;
  const auto may_be_it = [&](const Identity& identity) {
    const Identity* origin = journal_.origin(identity);
    return identity == debt.identity || (origin != nullptr && (*origin == debt.identity || *origin == identity));
  };
  // Also when it is the only one that is left of them.
  const auto has_no_link = [&](const TokenObject& object) {
    const Identity* origin = object.by_content ? nullptr : journal_.origin(object.identity);
    return object.fleeting || (origin != nullptr && *origin == object.identity);
  };
  pool_.objects.for_each([&](const TokenObject& object) {
    if (has_no_link(object) && place.objects.real_of(object.handle) != 0 &&
        debt.names(object.object_class, object.id, object.label) && may_be_it(object.identity))
      among = object.identity;
  });
  for (const Held& each : held(place))  // for another destruction
    if (!each.proven && each.identity != debt.identity && debt.names(each.object_class, each.id, each.label) &&
        may_be_it(each.identity))
      among = each.identity;
  if (!among) return std::nullopt;
  Debt there = debt;
  there.identity = *among;
  there.member = pool_.of(place).member.name();
  const std::size_t meant = meant_there(there) + 1, shown = reals_of(place, *among).size();
  return Hidden{*among, shown > meant ? shown - meant : 0};
}

// It goes on being owed, about what they are known as there.
void Debts::leave_hidden(const Debt& debt, Membership& owing, const Hidden& hidden) {
  JournalChange change;
  change.remove.push_back(debt.number);
  Debt& instead = change.add.emplace_back(debt);
  instead.identity = hidden.identity;
  instead.count = hidden.left;
  instead.keep_limit(debt.limit_before(), Debt::kUnsure);
  change.origins.emplace_back(hidden.identity, hidden.identity);  // in the next process, too
  if (journal_.limit(hidden.identity).value_or(UINT64_MAX) > hidden.left)
    change.limits.emplace_back(hidden.identity, hidden.left);
  if (write_down(std::move(change))) withhold(owing, hidden.identity);
}

// So many are left when the operator has done it there: what is left then is not taken for what was meant.
void Debts::leave_to_operator(const Debt& debt, std::size_t shown) {
  const std::size_t meant = meant_there(debt);
  const std::uint64_t left = shown > meant ? shown - meant : 0;
  JournalChange change;
  change.amend.emplace_back(debt).count = left;
  if (journal_.limit(debt.identity).value_or(left) < left) change.limits.emplace_back(debt.identity, left);
  write_down(std::move(change));
}

}  // namespace p11shim
