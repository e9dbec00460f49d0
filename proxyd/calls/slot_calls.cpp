// C_GetSlotList, and what is put right in the module's own slot and token info.
#include <algorithm>

#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

template <std::size_t N>
void pad(CK_UTF8CHAR (&field)[N], const std::string& text) {
  if (!text.empty()) put_padded(field, text);
}

// Counts of this application, where the module counts at all.
void put_count(CK_ULONG& field, std::uint32_t count) {
  if (field != CK_UNAVAILABLE_INFORMATION) field = count;
}

}  // namespace

void ClientCall::get_slot_list() {
  step_ = &ClientCall::get_slot_list;
  if (!services_.catalog.dynamic()) return answer_slot_list();
  In in(request_.body);
  in.uint();
  // A module that has just been initialised shows what there is, too.
  const bool count_first = in.nil_if() || !std::exchange(application_->slots_listed, true);
  services_.catalog.refresh(count_first, guarded([this](CK_RV rv) {
                              if (rv != CKR_OK) return finish(rv);
                              answer_slot_list();
                            }));
}

void ClientCall::answer_slot_list() {
  In in(request_.body);
  const bool with_token = in.uint_max(UINT8_MAX) != 0;
  const bool asks_count = in.nil_if();
  const std::uint64_t capacity = asks_count ? 0 : in.uint();
  if (!in.done()) return finish(CKR_ARGUMENTS_BAD);
  std::vector<CK_SLOT_ID> slots;
  for (Pool* pool : services_.catalog.listed()) {
    if (!may(pool->config.access.allow)) continue;
    const SlotEntry* entry = pool->member.entry();
    const bool absent =
        pool->absent() || (!pool->balanced() && entry != nullptr && (entry->info.flags & CKF_TOKEN_PRESENT) == 0);
    if (!with_token || !absent) slots.push_back(pool->slot);
  }
  Out out(scratch_);
  out.uint(slots.size());
  if (!asks_count && capacity < slots.size()) return finish(CKR_BUFFER_TOO_SMALL, scratch_.bytes());
  if (!asks_count) {
    out.array(slots.size());
    for (const CK_SLOT_ID slot : slots) out.uint(slot);
  }
  finish(CKR_OK, scratch_.bytes());
}

void ClientCall::slot_reply(Reply& reply) {
  if (request_.call == number_of<&List::C_InitToken>() && reply.rv == CKR_OK) return token_initialized();
  if (request_.call != number_of<&List::C_GetTokenInfo>() || reply.rv != CKR_OK) return finish(reply.rv, reply.body);
  CK_TOKEN_INFO info{};
  In in(reply.body);
  read_info(in, info);
  if (!in.done()) return finish(CKR_DEVICE_ERROR);
  pool_->knows_its_face();
  const TokenState& state = application_->token(*pool_);
  put_count(info.ulSessionCount, state.sessions);
  put_count(info.ulRwSessionCount, state.read_write_sessions);
  pad(info.label, pool_->config.label);
  pad(info.serialNumber, pool_->config.serial);
  pad(info.manufacturerID, pool_->config.manufacturer);
  pad(info.model, pool_->config.model);
  Out out(scratch_);
  write_info(out, info);
  finish(CKR_OK, scratch_.bytes());
}

}  // namespace p11shim
