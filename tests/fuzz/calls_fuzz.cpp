// Covers kHandlers (serve) and perform_call of every call: a request frame is served by a module that touches
// everything it is given; a reply frame, whose id stands for the call here, is decoded into an application's
// arguments.
#include <cstdint>
#include <cstdlib>

#include "call_arguments.h"
#include "calls/serve.h"
#include "calls/stub.h"

namespace p11shim::fuzz {
namespace {

const CK_FUNCTION_LIST_3_0 kModule = [] {
  CK_FUNCTION_LIST_3_0 module{};
  for_each_call([&]<class Call>() {
    if constexpr (Call::policy.where != Where::shim) module.*Call::member = &Toucher<Call>::function;
  });
  return module;
}();

void serve_request(std::span<const std::uint8_t> frame) {
  Request request;
  if (!read_request(frame, request) || request.call >= kCallCount || kHandlers[request.call] == nullptr) return;
  In in(request.body);
  Arena arena;
  RequestReader from{in, request.handles, arena};
  Buffer body;
  Out out(body);
  Handles handles;
  const Served served = kHandlers[request.call](kModule, from, out, handles);
  if (served.well_formed != (in.done() && request.handles.done())) std::abort();
  if (!served.well_formed && !body.empty()) std::abort();
}

// Answers with what the fuzzer made.
class FuzzedExchange final : public Exchange {
 public:
  explicit FuzzedExchange(Reply& reply) : reply_(reply) {}
  Request& request() override { return request_; }
  Buffer& body() override { return body_; }
  bool perform() override { return true; }
  Reply& reply() override { return reply_; }
  [[nodiscard]] CK_RV failure() const override { return CKR_DEVICE_ERROR; }
  void reject_reply() override {}

 private:
  Request request_;
  Buffer body_;
  Reply& reply_;
};

template <class Call, class... Kind>
void take_reply(Reply& reply, Types<Kind...>) {
  FuzzedExchange exchange(reply);
  std::tuple<Argument<Kind>...> arguments;
  std::apply(
      [&](auto&... argument) {
        std::apply([&](auto... c) { perform_call<Call>(exchange, CKM_AES_GCM, c...); },
                   std::tuple_cat(argument.c()...));
      },
      arguments);
}

void take_any_reply(std::span<const std::uint8_t> frame) {
  Reply reply;
  if (!read_reply(frame, reply)) return;
  for_each_call([&]<class Call>() {
    if constexpr (Call::policy.where != Where::shim)
      if (reply.id == Call::number) take_reply<Call>(reply, typename Call::Arguments{});
  });
}

}  // namespace
}  // namespace p11shim::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  p11shim::fuzz::serve_request({data, size});
  p11shim::fuzz::take_any_reply({data, size});
  return 0;
}
