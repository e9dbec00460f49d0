// The application's side of every forwarded call: check, encode, one exchange, decode.
#pragma once

#include "calls/each_argument.h"
#include "calls/table.h"

namespace p11shim {

// One request and its reply on one connection; the shim implements it.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // Where this call's large data may go instead of the body, if both sides share memory; the second only after the first.
  virtual Bulk* open_bulk() { return nullptr; }
  [[nodiscard]] virtual Bulk* bulk() { return nullptr; }
  // The request being built: its body goes to body(), its handles and mechanism into request().
  virtual Request& request() = 0;
  virtual Buffer& body() = 0;
  // Sends the request and waits. False: no usable reply came, and failure() says what the application is told.
  virtual bool perform() = 0;
  virtual Reply& reply() = 0;
  [[nodiscard]] virtual CK_RV failure() const = 0;
  // The reply did not have the shape of the call: the connection must not be used again.
  virtual void reject_reply() = 0;
};

// The first thing that the shim itself refuses in these arguments, or CKR_OK.
template <class Call, class... C>
CK_RV check_arguments(C... arguments) {
  CK_RV refused = CKR_OK;
  std::tuple<C...> flat(arguments...);
  each_argument(
      [&]<class Kind>(auto... c) {
        if (refused == CKR_OK) refused = Kind::check(c...);
      },
      flat, typename Call::Arguments{});
  return refused;
}

// Fills the exchange's request. `message_mechanism` is the session's, for the message functions. Throws std::bad_alloc only.
template <class Call, class... C>
void encode_call(Exchange& exchange, CK_MECHANISM_TYPE message_mechanism, C... arguments) {
  std::tuple<C...> flat(arguments...);
  exchange.request().call = Call::number;
  Out body(exchange.body());
  RequestWriter to{body, exchange.request(), message_mechanism,
                   carries_bulk(Call::policy) ? exchange.open_bulk() : nullptr};
  each_argument([&]<class Kind>(auto... c) { Kind::put_request(to, c...); }, flat, typename Call::Arguments{});
  exchange.request().body = exchange.body().bytes();
}

// Sends it and decodes the reply. Throws std::bad_alloc only.
template <class Call, class... C>
CK_RV complete_call(Exchange& exchange, C... arguments) {
  if (!exchange.perform()) return exchange.failure();
  std::tuple<C...> flat(arguments...);
  In in(exchange.reply().body);
  ReplyReader from{in, exchange.reply().handles, exchange.reply().rv,
                   carries_bulk(Call::policy) ? exchange.bulk() : nullptr};
  each_argument([&]<class Kind>(auto... c) { Kind::take_reply(from, c...); }, flat, typename Call::Arguments{});
  if (in.done() && from.handles.done()) return from.rv;
  exchange.reject_reply();
  return exchange.failure();
}

// Both.
template <class Call, class... C>
CK_RV perform_call(Exchange& exchange, CK_MECHANISM_TYPE message_mechanism, C... arguments) {
  encode_call<Call>(exchange, message_mechanism, arguments...);
  return complete_call<Call>(exchange, arguments...);
}

}  // namespace p11shim
