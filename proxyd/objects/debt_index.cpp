#include "proxyd/objects/debt_index.h"

#include <cstring>

#include "proxyd/objects/journal.h"

namespace p11shim {
namespace {

template <class Map, class Key>
const DebtIndex::Numbers& numbers_in(const Map& map, const Key& key) {
  static const DebtIndex::Numbers kNone;
  const auto found = map.find(key);
  return found == map.end() ? kNone : found->second;
}

template <class Map, class Key>
void remove_from(Map& map, const Key& key, std::uint64_t number) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  found->second.erase(number);
  if (found->second.empty()) map.erase(found);
}

}  // namespace

std::size_t DebtIndex::IdentityHash::operator()(const Identity& identity) const {
  std::size_t hash;
  std::memcpy(&hash, identity.data(), sizeof hash);
  return hash;
}

void DebtIndex::add(const Debt& debt) {
  by_member_[{debt.pool, debt.member}].insert(debt.number);
  if (debt.creates()) by_name_[{debt.object_class, debt.id, debt.label}].insert(debt.number);
  else by_identity_[debt.identity].insert(debt.number);
  if (debt.kind == DebtKind::unfinished) unfinished_.insert(debt.number);
}

void DebtIndex::remove(const Debt& debt) {
  remove_from(by_member_, std::pair(debt.pool, debt.member), debt.number);
  if (debt.creates()) remove_from(by_name_, std::tuple(debt.object_class, debt.id, debt.label), debt.number);
  else remove_from(by_identity_, debt.identity, debt.number);
  unfinished_.erase(debt.number);
}

const DebtIndex::Numbers& DebtIndex::about(const Identity& identity) const {
  return numbers_in(by_identity_, identity);
}

const DebtIndex::Numbers& DebtIndex::of_member(const std::string& pool, const std::string& member) const {
  return numbers_in(by_member_, std::pair(pool, member));
}

const DebtIndex::Numbers& DebtIndex::creations(CK_OBJECT_CLASS object_class, const std::vector<std::uint8_t>& id,
                                               const std::string& label) const {
  return numbers_in(by_name_, std::tuple(object_class, id, label));
}

}  // namespace p11shim
