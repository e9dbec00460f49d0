// What the shim remembers of calls that succeeded: which sessions are open, and the mechanism of a message
// operation.
#pragma once

#include "calls/table.h"
#include "shim/sessions.h"

namespace p11shim {

template <class Call>
constexpr bool is_message_call(Effect effect) {
  return Call::policy.effect == effect && (Call::policy.operation & ~kMessageOperations) == Operation::none &&
         Call::policy.operation != Operation::none;
}

// Of the message operation that the call belongs to; 0 for all other calls.
template <class Call, class... C>
CK_MECHANISM_TYPE message_mechanism(const Sessions& sessions, C... arguments) {
  if constexpr (is_message_call<Call>(Effect::continues))
    return sessions.message_mechanism(std::get<0>(std::tuple(arguments...)), Call::policy.operation);
  else return 0;
}

template <class Call, class... C>
void follow(Sessions& sessions, CK_RV rv, C... arguments) {
  if (rv != CKR_OK) return;
  const std::tuple all(arguments...);
  if constexpr (Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_OpenSession>()) {
    sessions.opened({*std::get<4>(all), std::get<0>(all), std::get<1>(all)});
  } else if constexpr (Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_CloseSession>()) {
    sessions.closed(std::get<0>(all));
  } else if constexpr (Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_CloseAllSessions>()) {
    sessions.closed_all(std::get<0>(all));
  } else if constexpr (is_message_call<Call>(Effect::starts)) {
    if (std::get<1>(all) == nullptr) sessions.message_ended(std::get<0>(all), Call::policy.operation);
    else sessions.message_started(std::get<0>(all), Call::policy.operation, std::get<1>(all)->mechanism);
  } else if constexpr (is_message_call<Call>(Effect::ends)) {
    sessions.message_ended(std::get<0>(all), Call::policy.operation);
  }
}

}  // namespace p11shim
