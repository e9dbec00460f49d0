// C_Login, C_LoginUser, C_Logout: an application moves between the login domains of a token.
#include "proxyd/calls/bodies.h"
#include "proxyd/calls/client_call.h"

namespace p11shim {

void ClientCall::log_in() {
  step_ = &ClientCall::log_in;
  if (!enter_session()) return;
  LoginArguments arguments =
      read_login(request_.body, request_.call == number_of<&CK_FUNCTION_LIST_3_0::C_LoginUser>());
  if (!arguments.well_formed) return finish(CKR_ARGUMENTS_BAD);
  // A context-specific login belongs to the operation under way. A user of the vendor's own would be logged in for everybody whom
  // the public worker serves.
  if (arguments.user == CKU_CONTEXT_SPECIFIC)
    return go(pool_->balanced() ? &ClientCall::log_in_to_operation : &ClientCall::forward_session);
  if (arguments.user != CKU_USER && arguments.user != CKU_SO) return finish(CKR_USER_TYPE_INVALID);

  TokenState& state = application_->token(*pool_);
  const LoginState wanted = arguments.user == CKU_SO ? LoginState::so : LoginState::user;
  if (state.login != LoginState::none)
    return finish(state.login == wanted ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
  if (pool_->balanced()) return log_in_to_pool(wanted, std::move(arguments.pin), std::move(arguments.user_name));
  Member& member = pool_->member;
  if (wanted == LoginState::so) {
    if (!may_administer()) return finish(CKR_FUNCTION_REJECTED);
    if (state.sessions != state.read_write_sessions) return finish(CKR_SESSION_READ_ONLY_EXISTS);
  }
  LoginDomain& domain = wanted == LoginState::so ? member.so() : member.user();
  // Whoever is answered too late, or is gone, was never logged in.
  auto answered = [this, wanted, &domain, alive = std::weak_ptr<char>(alive_), serial = serial_](CK_RV rv) {
    const bool wants_it = !alive.expired() && active_ && serial == serial_;
    if (!wants_it) {
      if (rv == CKR_OK) domain.log_out([] {});
      return;
    }
    if (rv != CKR_OK) return finish(rv);
    logged_in(wanted, domain);
  };
  if (wanted == LoginState::user && member.config().login == LoginMode::daemon) {
    if (!application_->peer) return finish(CKR_FUNCTION_REJECTED);  // nobody attests who it is
    return domain.log_in_with_own_pin(std::move(answered));
  }
  domain.log_in(std::move(arguments.pin), std::move(arguments.user_name), still_active(), std::move(answered));
}

void ClientCall::logged_in(LoginState wanted, LoginDomain& domain) {
  TokenState& state = application_->token(*pool_);
  // Another thread of the application was faster; or its last session was closed meanwhile.
  if (state.login != LoginState::none || state.sessions == 0) {
    domain.log_out([] {});
    return finish(state.login == wanted ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
  }
  state.login = wanted;
  state.private_handles.clear();
  finish(CKR_OK);
}

void ClientCall::log_out() {
  step_ = &ClientCall::log_out;
  if (!enter_session()) return;
  if (application_->token(*pool_).login == LoginState::none) {
    // In a worker that all share, others may be logged in. Else modules differ in what they say to somebody who is not.
    if (pool_->member.user().is_shared()) return finish(CKR_USER_NOT_LOGGED_IN);
    return go(&ClientCall::forward_session);
  }
  services_.applications.log_out(*application_, *pool_, guarded([this] { finish(CKR_OK); }));
}

}  // namespace p11shim
