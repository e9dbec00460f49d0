// What every kind of argument offers. A kind covers one or more consecutive C parameters and knows four directions:
//
//   shim:    check → put_request      worker: take_request → c() gives what the module is called with
//   shim:    take_reply             ← worker: put_reply
//
// A kind K has
//   static constexpr std::string_view name;     part of the table's fingerprint
//   using C = Types<...>;                       the C parameters it covers
//   struct Value;                               what the worker keeps of it for the length of the call
//   static CK_RV check(C...);                   what the shim refuses by itself (a NULL that would crash a module)
//   static void put_request(RequestWriter&, C...);
//   static void take_request(RequestReader&, Value&);
//   static std::tuple<C...> c(Value&);
//   static void put_reply(ReplyWriter&, const Value&);
//   static void take_reply(ReplyReader&, C...);
// Readers report malformed input through In and Handles, whose failure sticks: the module is called only after everything
// was read and found well-formed; an argument of the application is written only after it was, and never beyond the size
// that the application stated. put_reply and take_reply see the same CK_RV, so they agree on what is there without saying
// it: outputs travel with CKR_OK only, lengths also with CKR_BUFFER_TOO_SMALL.
#pragma once

#include <string_view>
#include <tuple>

#include "calls/arena.h"
#include "pkcs11/cryptoki.h"
#include "wire/area.h"
#include "wire/message.h"

namespace p11shim {

template <class... T>
struct Types {
  static constexpr std::size_t size = sizeof...(T);
};

template <class...>
struct ConcatTypes;
template <class... A>
struct ConcatTypes<Types<A...>> {
  using type = Types<A...>;
};
template <class... A, class... B, class... Rest>
struct ConcatTypes<Types<A...>, Types<B...>, Rest...> : ConcatTypes<Types<A..., B...>, Rest...> {};
template <>
struct ConcatTypes<> {
  using type = Types<>;
};
template <class... T>
using Concat = typename ConcatTypes<T...>::type;

struct RequestWriter {
  Out& body;
  Request& request;  // its handles, and the mechanism for the header
  CK_MECHANISM_TYPE message_mechanism =
      0;                 // of the session's C_Message…Init: a message parameter has no type of its own in C
  Bulk* bulk = nullptr;  // where large data may go; null: into the body
};
struct RequestReader {
  In& body;
  Handles& handles;
  Arena& arena;
  Bulk* bulk = nullptr;
};
struct ReplyWriter {
  Out& body;
  Handles& handles;
  CK_RV rv;
  Bulk* bulk = nullptr;
  Arena* arena = nullptr;  // of the request
};
struct ReplyReader {
  In& body;
  Handles& handles;
  CK_RV rv;
  Bulk* bulk = nullptr;
};

// For kinds that are inputs only.
struct InputOnly {
  template <class Value>
  static void put_reply(ReplyWriter&, const Value&) {}
  template <class... C>
  static void take_reply(ReplyReader&, C...) {}
};
// For kinds that the shim never refuses.
struct Unchecked {
  template <class... C>
  static CK_RV check(C...) {
    return CKR_OK;
  }
};

}  // namespace p11shim
