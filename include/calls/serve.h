// The worker's side of every forwarded call: decode, bound, call the module, encode.
#pragma once

#include <chrono>

#include "calls/each_argument.h"
#include "calls/table.h"

namespace p11shim {

struct Served {
  bool well_formed = false;  // false: the module was not called
  CK_RV rv = CKR_GENERAL_ERROR;
  std::chrono::nanoseconds duration{0};  // inside the module
};

// Decodes the arguments of one call, calls `module`, and encodes what it returned. A function that the module does not
// have gives CKR_FUNCTION_NOT_SUPPORTED. Throws std::bad_alloc only.
template <class C>
Served serve(const CK_FUNCTION_LIST_3_0& module, RequestReader& from, Out& reply_body, Handles& reply_handles) {
  return [&]<class... Kind>(Types<Kind...>) {
    std::tuple<typename Kind::Value...> values{};
    std::apply([&](auto&... value) { (Kind::take_request(from, value), ...); }, values);
    if (!from.body.done() || !from.handles.done()) return Served{};

    Served served{.well_formed = true, .rv = CKR_FUNCTION_NOT_SUPPORTED};
    const auto function = module.*C::member;
    if (function != nullptr) {
      auto arguments = std::apply([](auto&... value) { return std::tuple_cat(Kind::c(value)...); }, values);
      const auto start = std::chrono::steady_clock::now();
      served.rv = std::apply(function, arguments);
      served.duration = std::chrono::steady_clock::now() - start;
    }
    ReplyWriter to{reply_body, reply_handles, served.rv, from.bulk, &from.arena};
    std::apply([&](const auto&... value) { (Kind::put_reply(to, value), ...); }, values);
    return served;
  }(typename C::Arguments{});
}

using Handler = Served (*)(const CK_FUNCTION_LIST_3_0&, RequestReader&, Out&, Handles&);

// By call number; null for numbers that do not exist and for calls that never leave the shim.
inline constexpr std::array<Handler, kCallCount> kHandlers = [] {
  std::array<Handler, kCallCount> handlers{};
  for_each_call([&]<class C>() {
    if constexpr (C::policy.where != Where::shim) handlers[C::number] = &serve<C>;
  });
  return handlers;
}();

}  // namespace p11shim
