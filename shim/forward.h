// A forwarded call, for every function of the table that does not end in the shim.
#pragma once

#include "calls/stub.h"
#include "shim/application.h"
#include "shim/boundary.h"
#include "shim/call_log.h"
#include "shim/coalesce.h"
#include "shim/follow.h"
#include "shim/process.h"

namespace p11shim {

// Answers that may hold keys or plain text: their buffers are wiped.
template <class... Kind>
constexpr bool may_reveal(Types<Kind...>) {
  return ((std::is_same_v<Kind, QueryTemplate> || std::is_same_v<Kind, FillBytes> || std::is_same_v<Kind, Mechanism>) ||
          ...);
}
template <class Call>
constexpr bool kSecretAnswer = may_reveal(typename Call::Arguments{}) ||
                               (Call::policy.operation &
                                (Operation::decrypt | Operation::message_decrypt)) != Operation::none;

// What a call is told while there has never been a proxyd: as with a module that has no slots.
template <class Call, class... C>
CK_RV answer_without_proxyd(const Application& application, C... arguments) {
  if (application.config().on_unreachable == OnUnreachable::fail) return codes::kProxydLost;
  if constexpr (Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSlotList>()) {
    *std::get<2>(std::tuple(arguments...)) = 0;
    return CKR_OK;
  } else {
    if (application.is_known()) return codes::kProxydLost;
    return Call::policy.slot ? codes::kNoSlot : codes::kNoSession;
  }
}

template <class Call, class... C>
CK_RV carry_out(Application& application, C... arguments) {
  Loan exchange(application);
  Coalescing coalescing(application, *exchange);
  const bool coalesces = application.config().coalesce;
  if (coalesces)
    if (const auto answer = coalescing.settle<Call>(arguments...)) return coalescing.done(), *answer;
  exchange->begin(Call::policy.slow ? std::chrono::milliseconds(0) : application.config().deadline);
  encode_call<Call>(*exchange, message_mechanism<Call>(application.sessions(), arguments...), arguments...);
  CK_RV rv = CKR_OK;
  if (coalesces && coalescing.wait<Call>(arguments...)) {
    follow<Call>(application.sessions(), CKR_OK, arguments...);
  } else {
    if (application.connect(*exchange)) {
      rv = complete_call<Call>(*exchange, arguments...);
      follow<Call>(application.sessions(), rv, arguments...);
      if (coalesces) {
        coalescing.follow<Call>(rv, arguments...);
        if (rv == CKR_OK) coalescing.remember<Call>(arguments...);
      }
    } else {
      rv = application.is_shut_down() ? codes::kNotInitialised : answer_without_proxyd<Call>(application, arguments...);
    }
  }
  exchange->end(kSecretAnswer<Call>);
  coalescing.done();
  return rv;
}

template <class Call, class... C>
CK_RV forward(C... arguments) noexcept {
  return at_the_boundary([&]() -> CK_RV {
    const std::shared_ptr<Application> application = process.application();
    if (application == nullptr) return codes::kNotInitialised;
    if (const CK_RV refused = check_arguments<Call>(arguments...); refused != CKR_OK) return refused;
    const CK_RV rv = carry_out<Call>(*application, arguments...);
    if (application->logs_calls()) log_call<Call>(application->config(), rv, arguments...);
    return rv;
  });
}

}  // namespace p11shim
