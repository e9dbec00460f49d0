#include "proxyd/daemon/pool_sync.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace p11shim {
namespace {

using nlohmann::json;

const char* text(DebtKind kind) {
  switch (kind) {
    case DebtKind::create: return "look for what was made";
    case DebtKind::copy: return "copy";
    case DebtKind::refresh: return "change";
    case DebtKind::destroy: return "destroy";
    case DebtKind::unfinished: return "undo what was begun";
  }
  return "?";
}

json debts_of(const Pool& pool, Journal& journal, const Membership& membership) {
  auto list = json::array();
  const std::string& member = membership.member.name();
  for (const Debt* debt = journal.next_of(pool.config.name, member, 0); debt != nullptr;
       debt = journal.next_of(pool.config.name, member, debt->number))
    list.push_back(
        {{"number", debt->number}, {"write", text(debt->kind)}, {"label", debt->label}, {"obstacle", debt->obstacle}});
  return list;
}

bool is_shown(const Pool& pool, const TokenObject& object) {
  return std::ranges::any_of(pool.members, [&](const auto& each) {
    return std::ranges::any_of(std::array{&each->member.public_place(), &each->member.user().place()},
                               [&](const Place* place) { return place->objects.real_of(object.handle) != 0; });
  });
}

// What a member lacks that another has, of what this pool copies.
std::size_t missing_copies(Pool& pool, Membership& membership, JournalChange& change) {
  std::size_t count = 0;
  pool.objects.for_each([&](const TokenObject& object) {
    if (!pool.debts.copies(object.object_class) || !object.proven || object.counted ||
        pool.debts.cannot_be_copied(object.identity, membership))
      return;
    Place* place = pool.debts.reachable(membership, object.is_private);
    if (place == nullptr || place->objects.real_of(object.handle) != 0 || !is_shown(pool, object)) return;
    for (const Debt* debt : pool.debts.journal().about(object.identity))
      if (debt->pool == pool.config.name && debt->member == membership.member.name()) return;
    pool.debts.add_copy(change, object, membership);
    ++count;
  });
  return count;
}

}  // namespace

void sync_pool(TokenCatalog& catalog, const json& arguments, const ControlReply& reply) {
  const std::string name = arguments.value("pool", "");
  const bool dry_run = arguments.value("dry_run", false);
  Pool* pool = nullptr;
  std::size_t several = 0;
  for (const auto& each : catalog.pools()) {
    if (name.empty() ? !each->balanced() : each->config.name != name) continue;
    pool = each.get();
    ++several;
  }
  if (several > 1)
    return reply.fail({"ambiguous_pool", "there are several pools of several members", "say which with --pool"});
  if (pool == nullptr)
    return reply.fail({"unknown_pool", name.empty() ? "no pool has several members" : "there is no pool " + name,
                       "shimctl status shows the pools"});
  if (!pool->balanced())
    return reply.fail(
        {"single_member", "pool " + pool->config.name + " has one member: there is nothing to compare", ""});

  Journal& journal = pool->debts.journal();
  auto members = json::array();
  if (!dry_run) pool->debts.try_again(true);
  for (const auto& each : pool->members) {
    JournalChange change;
    const std::size_t copies = missing_copies(*pool, *each, change);
    std::size_t returned = pool->debts.returned(*each);
    if (!dry_run) {
      if (returned != 0) returned = pool->debts.destroy_returned(*each);
      if (copies != 0 && !journal.apply(std::move(change))) return reply.fail({"journal", journal.problem(), ""});
    }
    members.push_back({{"member", each->member.name()},
                       {"private_objects_known", pool->debts.reachable(*each, true) != nullptr},
                       {"destroys_again", returned},
                       {"copies", copies},
                       {"owes", debts_of(*pool, journal, *each)}});
  }
  if (!dry_run) pool->runtime().log.info("pool {}: the operator has differences repaired", pool->config.name);
  reply.ok({{"pool", pool->config.name}, {"dry_run", dry_run}, {"members", std::move(members)}});
}

}  // namespace p11shim
