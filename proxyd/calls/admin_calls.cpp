// C_InitToken, C_InitPIN, C_SetPIN: calls that change a token for everybody.
#include "proxyd/calls/client_call.h"
#include "proxyd/login/secret_copy.h"
#include "proxyd/tokens/pool_pins.h"

namespace p11shim {

// Runs in the public worker, when nobody has a session on the token and no other worker is left that knows it.
void ClientCall::init_token() {
  step_ = &ClientCall::init_token;
  pool_ = visible_pool(request_.handles[0]);
  if (pool_ == nullptr) return finish(CKR_SLOT_ID_INVALID);
  if (!may_administer()) return finish(CKR_FUNCTION_REJECTED);
  if (services_.applications.in_use(*pool_)) return finish(CKR_SESSION_EXISTS);
  if (pool_->balanced()) return init_pool_tokens();
  place_ = &pool_->member.public_place();
  pool_->member.backend().renew_if_stale();  // it checks the SO's PIN
  if (!worker_ready(place_->worker)) return;
  pool_->member.user().stop("the token is initialised");
  pool_->member.so().stop("the token is initialised");
  const auto close_ours = [this] {
    place_->read_only.close_all(
        guarded([this] { place_->read_write.close_all(guarded([this] { go(&ClientCall::init_token_forward); })); }));
  };
  if (!pool_->member.user().is_shared()) return close_ours();
  pool_->member.user().close_service_session(
      guarded([this, close_ours] { pool_->member.so().close_service_session(guarded(close_ours)); }));
}

// On every member. It goes on when its caller has gone; nobody opens a session meanwhile.
void ClientCall::init_pool_tokens() {
  if (pool_->initialising) return pool_->changed.add(*this);
  for (const auto& each : pool_->members) {  // who is on its way is waited for before anything is begun
    Worker& worker = each->member.backend().worker();
    if (each->health.wanted != Wanted::maint && worker.state() != Worker::State::backoff && !worker.require(*this))
      return;
  }
  init_tokens(*pool_, secret_copy(request_.body), guarded([this](CK_RV rv) { finish(rv); }));
}

void ClientCall::init_token_forward() {
  if (services_.applications.in_use(*pool_)) return finish(CKR_SESSION_EXISTS);
  forward_slot();
}

// The token has another serial number now, and its objects are gone.
void ClientCall::token_initialized() {
  Member& member = pool_->member;
  const CK_SLOT_ID slot = forwarded_.handles[0];
  place_->objects.forget_token_objects();
  place_->token_changed();
  member.backend().refresh_slots(
      false, guarded([this, &member, slot](CK_RV) {
        for (const SlotEntry& entry : member.backend().worker().slots())
          if (entry.slot == slot && entry.token_rv == CKR_OK)
            member.identify_by({unpadded(entry.token.label), unpadded(entry.token.serialNumber), std::nullopt});
        finish(CKR_OK);
      }));
}

void ClientCall::init_pin() {
  step_ = &ClientCall::init_pin;
  if (!enter_session()) return;
  if (!may_administer()) return finish(CKR_FUNCTION_REJECTED);
  if (pool_->balanced()) return set_pins();
  // In a worker that all share, it may be another application that is logged in as SO.
  if (pool_->member.user().is_shared() && application_->token(*pool_).login != LoginState::so)
    return finish(CKR_USER_NOT_LOGGED_IN);
  go(&ClientCall::forward_session);
}

void ClientCall::set_pin() {
  step_ = &ClientCall::set_pin;
  if (!enter_session()) return;
  const bool is_so = application_->token(*pool_).login == LoginState::so;
  if (is_so ? !may_administer() : !pool_->config.access.set_pin) return finish(CKR_FUNCTION_REJECTED);
  if (pool_->balanced()) return set_pins();
  // The public worker may have been running when the PIN was changed elsewhere; then it would accept the old one.
  Member& member = pool_->member;
  if (&application_->place(*pool_) != &member.public_place() || !member.backend().stale())
    return go(&ClientCall::forward_session);
  if (member.user().is_shared()) {
    member.backend().renew_if_stale();
    return go(&ClientCall::forward_session);
  }
  Buffer pins;
  Out(pins).mark_secret();
  pins.append(request_.body.data(), request_.body.size());
  // Whoever asked may be gone when the answer comes; the PIN is another one all the same.
  member.user().set_pin(std::move(pins), session_->read_write, still_active(),
                        [&member, answer = guarded([this](CK_RV rv) { finish(rv); })](CK_RV rv) mutable {
                          if (may_have_changed_pin(rv)) member.pin_changed(member.public_place());
                          answer(rv);
                        });
}

// On every member. It goes on when its caller has gone.
void ClientCall::set_pins() {
  const LoginState login = application_->token(*pool_).login;
  if (!session_->read_write) return finish(CKR_SESSION_READ_ONLY);
  if (request_.call == number_of<&CK_FUNCTION_LIST_3_0::C_InitPIN>() && login != LoginState::so)
    return finish(CKR_USER_NOT_LOGGED_IN);
  Buffer pins = secret_copy(request_.body);
  const PinDomain domain = login == LoginState::so     ? PinDomain::so
                           : login == LoginState::user ? PinDomain::user
                                                       : PinDomain::nobody;
  change_pins(*pool_, domain, request_.call, std::move(pins), guarded([this](CK_RV rv) { finish(rv); }));
}

}  // namespace p11shim
