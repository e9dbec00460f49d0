// Logins that concern one member: for the operation that it has under way, and the question whether it has forgotten its own.
#include "proxyd/calls/client_call.h"
#include "proxyd/tokens/session_state.h"

namespace p11shim {
namespace {
constexpr Operation kAnyUnderWay = Operation::any & ~Operation::find;
}

// C_Login for one operation: only the member that has it under way sees the PIN.
void ClientCall::log_in_to_operation() {
  step_ = &ClientCall::log_in_to_operation;
  if (!enter_session()) return;
  Hold* latest = nullptr;
  for (Hold& hold : session_->holds)
    if ((hold.active & kAnyUnderWay) != Operation::none) latest = &hold;
  if (latest != nullptr) return run_on(*latest->place);
  const bool had_one = (session_->lost & kAnyUnderWay) != Operation::none || !session_->replays.empty();
  finish(had_one ? CKR_DEVICE_ERROR : CKR_OPERATION_NOT_INITIALIZED);
}

// What was to be logged in to is over if its member is gone: nothing goes on elsewhere without the login.
void ClientCall::forget_failed_login() {
  if (session_->hold_with(kAnyUnderWay) != nullptr) return;
  session_->take_lost(kAnyUnderWay);
  session_->replays.clear();
}

// A member has answered CKR_USER_NOT_LOGGED_IN where somebody is: of this call, which wants more than that, or because its
// process is logged out. The same session tells; the answer waits.
void ClientCall::ask_login(const Reply& reply) {
  attempts_.asking = attempts_.count;
  attempts_.login_is_good = false;
  attempts_.asks_of_init = reply.init_rv != CKR_OK;
  if (hedge_ == nullptr) hedge_deadline_.disarm();  // it has been answered
  const auto told = [this, attempt = attempts_.count, generation = place_->worker.generation()](bool is_logged_in) {
    if (attempts_.asking != attempt || attempts_.count != attempt || attempts_.on == nullptr) return;
    if (generation != place_->worker.generation()) lease_ = nullptr;  // gone with its worker
    login_told(is_logged_in);
  };
  ask_whether_logged_in(*place_, guarded(told));
}

void ClientCall::login_told(bool is_logged_in) {
  attempts_.login_is_good = is_logged_in;
  Reply again;
  (attempts_.asks_of_init ? again.init_rv : again.rv) = CKR_USER_NOT_LOGGED_IN;
  again.hsm_us = hsm_us_;
  on_reply(again);
}

}  // namespace p11shim
