// What a balanced pool shows of itself: one slot, one token, one list of mechanisms, whatever its members do meanwhile.
#include <algorithm>

#include "proxyd/calls/client_call.h"
#include "proxyd/tokens/pool_pins.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

}  // namespace

void ClientCall::answer_for_pool() {
  step_ = &ClientCall::answer_for_pool;
  pool_ = visible_pool(request_.handles[0]);
  if (pool_ == nullptr) return finish(CKR_SLOT_ID_INVALID);
  if (request_.call != number_of<&List::C_GetSlotInfo>() && pool_->absent()) return finish(CKR_TOKEN_NOT_PRESENT);
  switch (request_.call) {
    case number_of<&List::C_GetSlotInfo>(): return pool_slot_info();
    case number_of<&List::C_GetTokenInfo>(): return pool_token_info();
    case number_of<&List::C_GetMechanismList>():
    case number_of<&List::C_GetMechanismInfo>(): return pool_mechanisms();
    default: return finish(CKR_FUNCTION_NOT_SUPPORTED);
  }
}

void ClientCall::pool_slot_info() {
  CK_SLOT_INFO info{};
  if (!pool_->knows_its_face() || !pool_->slot_info(info)) return wait_for_first_member();
  if (pool_->config.balance.removable) info.flags |= CKF_REMOVABLE_DEVICE;
  if (pool_->absent()) info.flags &= ~static_cast<CK_FLAGS>(CKF_TOKEN_PRESENT);
  Out out(scratch_);
  write_info(out, info);
  finish(CKR_OK, scratch_.bytes());
}

void ClientCall::pool_token_info() {
  CK_TOKEN_INFO info{};
  const auto patience = static_cast<std::uint64_t>(pool_->look_at_tokens().count()) * 1'000'000;
  if (uv_hrtime() - started_ns_ < patience) return pool_->changed.add(*this);
  if (!pool_->knows_its_face() || !pool_->token_info(info)) return wait_for_first_member();
  const TokenState& state = application_->token(*pool_);
  if (info.ulSessionCount != CK_UNAVAILABLE_INFORMATION) info.ulSessionCount = state.sessions;
  if (info.ulRwSessionCount != CK_UNAVAILABLE_INFORMATION) info.ulRwSessionCount = state.read_write_sessions;
  put_padded(info.label, pool_->config.label);
  put_padded(info.serialNumber, pool_->config.serial);
  put_padded(info.manufacturerID, pool_->config.manufacturer);
  put_padded(info.model, pool_->config.model);
  Out out(scratch_);
  write_info(out, info);
  finish(CKR_OK, scratch_.bytes());
}

void ClientCall::pool_mechanisms() {
  bool asked = false;
  for (const auto& each : pool_->members) {
    if (each->member.backend().worker().state() != Worker::State::ready ||
        each->health.breaker.state() == Breaker::State::open)
      continue;
    pool_->ask_mechanisms(*each);
    asked |= !each->capabilities.known();
  }
  const Capabilities::Mechanisms all = pool_->mechanisms();
  const auto longest = static_cast<std::uint64_t>(pool_->config.balance.attempt_timeout.count()) * 1'000'000;
  if (asked && uv_hrtime() - started_ns_ < longest) return pool_->changed.add(*this);
  if (all.empty()) return wait_for_first_member();
  In in(request_.body);
  Out out(scratch_);
  if (request_.call == number_of<&List::C_GetMechanismInfo>()) {
    const auto found = all.find(in.uint());
    if (!in.done()) return finish(CKR_ARGUMENTS_BAD);
    if (found == all.end()) return finish(CKR_MECHANISM_INVALID);
    write_info(out, found->second);
    return finish(CKR_OK, scratch_.bytes());
  }
  const bool asks_count = in.nil_if();
  const std::uint64_t capacity = asks_count ? 0 : in.uint();
  if (!in.done()) return finish(CKR_ARGUMENTS_BAD);
  out.uint(all.size());
  if (!asks_count && capacity < all.size()) return finish(CKR_BUFFER_TOO_SMALL, scratch_.bytes());
  if (!asks_count) {
    out.array(all.size());
    for (const auto& entry : all) out.uint(entry.first);
  }
  finish(CKR_OK, scratch_.bytes());
}

// None has been seen since proxyd started.
void ClientCall::wait_for_first_member() {
  for (const auto& each : pool_->members) each->member.backend().worker().start();
  pool_->changed.add(*this);
}

// All members at once, or one after the other: docs/pools.md.
void ClientCall::log_in_to_pool(LoginState wanted, Buffer pin, Buffer user_name) {
  if (pool_->absent()) return finish(CKR_DEVICE_REMOVED);
  if (wanted == LoginState::so) {
    TokenState& state = application_->token(*pool_);
    if (!may_administer()) return finish(CKR_FUNCTION_REJECTED);
    if (state.sessions != state.read_write_sessions) return finish(CKR_SESSION_READ_ONLY_EXISTS);
    return log_in_so(*pool_, std::move(pin), std::move(user_name),
                     [this, pool = pool_, is_wanted = still_active()](CK_RV rv) {
                       const bool wants_it = is_wanted();
                       TokenState* now = wants_it ? &application_->token(*pool) : nullptr;
                       const bool may = wants_it && now->login == LoginState::none && now->sessions != 0;
                       if (rv == CKR_OK && !may) log_out_so(*pool, [] {});
                       if (!wants_it) return;
                       if (rv != CKR_OK) return finish(rv);
                       if (!may) return finish(CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
                       now->login = LoginState::so;
                       now->private_handles.clear();
                       finish(CKR_OK);
                     });
  }
  auto is_wanted = [this, alive = std::weak_ptr<char>(alive_), serial = serial_] {
    return !alive.expired() && active_ && serial == serial_;
  };
  Pool* pool = pool_;
  auto answered = [this, pool, is_wanted](CK_RV rv) {
    if (!is_wanted()) {
      if (rv == CKR_OK) pool->login.leave([] {});
      return;
    }
    if (rv != CKR_OK) return finish(rv);
    TokenState& state = application_->token(*pool);
    if (state.login != LoginState::none || state.sessions == 0) {  // another thread was faster, or the session is gone
      pool->login.leave([] {});
      return finish(state.login == LoginState::user ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    }
    state.login = LoginState::user;
    state.private_handles.clear();
    finish(CKR_OK);
  };
  if (pool_->member.config().login == LoginMode::daemon) {
    if (!application_->peer) return finish(CKR_FUNCTION_REJECTED);  // nobody attests who it is
    return pool_->login.log_in_with_own_pin(std::move(answered));
  }
  pool_->login.log_in(std::move(pin), std::move(user_name), std::move(is_wanted), std::move(answered));
}

}  // namespace p11shim
