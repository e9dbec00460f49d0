#include "proxyd/tokens/token_look.h"

#include "calls/table.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kLongest = 1000;  // ms
}

bool TokenLook::is_fresh(const Worker& worker, std::uint64_t now_ms) const {
  return !doubted() && generation_ == worker.generation() && now_ms - at_ms_ <= kLongest;
}

void TokenLook::ask(Member& member, std::function<void()> done) {
  if (std::exchange(asking_, true)) return;
  Worker& worker = member.backend().worker();
  const std::uint64_t slot = member.slot_in(worker);
  OwnCall::start(worker, number_of<&CK_FUNCTION_LIST_3_0::C_GetTokenInfo>(), {&slot, 1}, {},
                 [this, &member, slot, wanted = wanted_, generation = worker.generation(), done = std::move(done),
                  alive = std::weak_ptr<char>(alive_)](Reply* reply) {
                   if (alive.expired()) return;
                   asking_ = false;
                   answered_ = wanted;
                   generation_ = generation;
                   at_ms_ = member.backend().worker().runtime().now_ms();
                   answered(member, slot, reply);
                   if (reply != nullptr) done();
                 });
}

// Only what a token says of itself may change: which one it is was seen when the worker listed its slots.
void TokenLook::answered(Member& member, CK_SLOT_ID slot, const Reply* reply) {
  if (reply == nullptr || reply->rv != CKR_OK) return;
  CK_TOKEN_INFO info{};
  In in(reply->body);
  read_info(in, info);
  Worker& worker = member.backend().worker();
  if (!in.done() || generation_ != worker.generation()) return;
  std::vector<SlotEntry> slots = worker.slots();
  for (SlotEntry& entry : slots) {
    SlotEntry now = entry;
    now.token = info;
    if (entry.slot == slot && member.identity().matches(entry) && member.identity().matches(now)) entry = now;
  }
  worker.set_slots(std::move(slots));
}

}  // namespace p11shim
