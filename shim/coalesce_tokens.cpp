// Slots and tokens, answered here. Of what moves by itself, the clock and free memory, the answer is as old as `remember`
// at most; what this application does to it makes it ask again, and so does what others do through proxyd. Which slots there
// are and what a token's state is are remembered only where proxyd tells of changes.
#include <algorithm>

#include "shim/coalesce.h"

namespace p11shim {
namespace {

// With room for all, every module answers alike.
template <class Item>
bool give_list(const std::optional<std::vector<Item>>& known, Item* list, CK_ULONG* count) {
  if (!known || (list != nullptr && *count < known->size())) return false;
  if (list != nullptr) std::copy(known->begin(), known->end(), list);
  *count = known->size();
  return true;
}

bool counts_sessions(const CK_TOKEN_INFO& info) {
  return info.ulSessionCount != CK_UNAVAILABLE_INFORMATION || info.ulRwSessionCount != CK_UNAVAILABLE_INFORMATION;
}

}  // namespace

std::uint64_t Coalescing::slots_generation(CK_SLOT_ID) {
  return application_.remembered().generations.of(GenerationPage::kSlots);
}

std::uint64_t Coalescing::token_generation(CK_SLOT_ID slot) {
  const GenerationView& generations = application_.remembered().generations;
  return generations.of(slot) + generations.of(GenerationPage::token_of(slot));
}

bool Coalescing::answer_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count) {
  Remembered& remembered = application_.remembered();
  if (give_list(remembered.mechanism_lists.find(slot, generation(slot), remembered.values), list, count)) return true;
  asks(slot);
  return false;
}

bool Coalescing::answer_slot_list(CK_BBOOL with_token, CK_SLOT_ID_PTR list, CK_ULONG_PTR count) {
  Remembered& remembered = application_.remembered();
  const std::uint64_t now = slots_generation(0);
  if (now != 0 && give_list(remembered.slot_lists.find(with_token, now, remembered.values), list, count)) return true;
  asks_stamped(&Coalescing::slots_generation, 0);
  return false;
}

bool Coalescing::answer_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO* info) {
  Remembered& remembered = application_.remembered();
  const std::uint64_t now = token_generation(slot);
  const auto known = remembered.slots.find(slot, now, remembered.values);
  if (now != 0 && known) return *info = *known, true;
  asks_stamped(&Coalescing::token_generation, slot);
  return false;
}

bool Coalescing::answer_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  Remembered& remembered = application_.remembered();
  const std::uint64_t now = token_generation(slot);
  asked_sessions_ = application_.sessions().changes();
  const auto known = remembered.tokens.find(slot, now, remembered.values);
  if (now != 0 && known && (known->sessions == asked_sessions_ || !counts_sessions(known->info)))
    return *info = known->info, true;
  asks_stamped(&Coalescing::token_generation, slot);
  return false;
}

void Coalescing::learn_mechanism_list(CK_SLOT_ID slot, const CK_MECHANISM_TYPE* list, CK_ULONG count) {
  if (asked_ && list != nullptr)
    application_.remembered().mechanism_lists.add(slot, *asked_, std::vector(list, list + count));
}

void Coalescing::learn_slot_list(CK_BBOOL with_token, const CK_SLOT_ID* list, CK_ULONG count) {
  if (asked_ && list != nullptr)
    application_.remembered().slot_lists.add(with_token, *asked_, std::vector(list, list + count));
}

void Coalescing::learn_slot_info(CK_SLOT_ID slot, const CK_SLOT_INFO& info) {
  if (asked_) application_.remembered().slots.add(slot, *asked_, info);
}

void Coalescing::learn_token_info(CK_SLOT_ID slot, const CK_TOKEN_INFO& info) {
  if (asked_) application_.remembered().tokens.add(slot, *asked_, {info, asked_sessions_});
}

}  // namespace p11shim
