// Every function of the table, there and back: application → stub → frame → handler → module → frame → stub →
// application.
#include <gtest/gtest.h>

#include "call_probes.h"
#include "loopback_exchange.h"

namespace p11shim {
namespace {

template <class Call>
void round_trip(Variant variant, CK_RV rv) {
  SCOPED_TRACE(std::string(Call::name) + ", variant " + std::to_string(static_cast<int>(variant)) + ", rv " +
               std::to_string(rv));
  Probes<Call> probes(variant, rv);
  using Fake = FakeFunction<Call>;
  Fake::answer_with(probes);
  CK_FUNCTION_LIST_3_0 module{};
  module.*Call::member = &Fake::function;
  LoopbackExchange exchange(module);
  probes.with_arguments([&](auto... arguments) {
    EXPECT_EQ(check_arguments<Call>(arguments...), CKR_OK);
    EXPECT_EQ(perform_call<Call>(exchange, kMessageMechanism, arguments...), rv);
  });
  EXPECT_EQ(Fake::calls, 1);
  EXPECT_FALSE(exchange.rejected);
  probes.application_sees();
}

class EveryCall : public ::testing::TestWithParam<std::tuple<Variant, CK_RV>> {};

TEST_P(EveryCall, ArrivesAndComesBackUnchanged) {
  const auto [variant, rv] = GetParam();
  int calls = 0;
  for_each_forwarded_call([&, variant = variant, rv = rv]<class Call>() {
    ++calls;
    round_trip<Call>(variant, rv);
  });
  EXPECT_EQ(calls, 85);
}
INSTANTIATE_TEST_SUITE_P(Calls, EveryCall,
                         ::testing::Combine(::testing::Values(Variant::full, Variant::null, Variant::empty),
                                            ::testing::Values(CKR_OK, CKR_BUFFER_TOO_SMALL, CKR_ATTRIBUTE_SENSITIVE,
                                                              CKR_DEVICE_ERROR, CKR_VENDOR_DEFINED | 7)));

TEST(EveryCallBroken, AFunctionThatTheModuleLacksIsNotSupported) {
  const CK_FUNCTION_LIST_3_0 empty{};
  for_each_forwarded_call([&]<class Call>() {
    SCOPED_TRACE(Call::name);
    LoopbackExchange exchange(empty);
    Probes<Call> probes(Variant::full, CKR_FUNCTION_NOT_SUPPORTED);
    probes.with_arguments([&](auto... arguments) {
      EXPECT_EQ(perform_call<Call>(exchange, kMessageMechanism, arguments...), CKR_FUNCTION_NOT_SUPPORTED);
    });
    probes.application_sees();
  });
}

// What a request of each call looks like.
template <class Call>
Request encode(Buffer& body) {
  Probes<Call> probes(Variant::full, CKR_OK);
  Request request;
  Out out(body);
  RequestWriter to{out, request, kMessageMechanism};
  probes.with_arguments([&](auto... arguments) {
    std::tuple flat(arguments...);
    each_argument([&]<class K>(auto... c) { K::put_request(to, c...); }, flat, typename Call::Arguments{});
  });
  request.body = body.bytes();
  return request;
}

template <class Call>
Served serve_bytes(std::span<const std::uint8_t> body, Handles handles) {
  static const CK_FUNCTION_LIST_3_0 empty{};
  In in(body);
  Arena arena;
  Handles out_handles;
  RequestReader from{in, handles, arena};
  Buffer reply;
  Out out(reply);
  return serve<Call>(empty, from, out, out_handles);
}

TEST(EveryCallBroken, ATruncatedBodyNeverReachesTheModule) {
  for_each_forwarded_call([&]<class Call>() {
    SCOPED_TRACE(Call::name);
    Buffer body;
    const Request request = encode<Call>(body);
    EXPECT_TRUE(serve_bytes<Call>(body.bytes(), request.handles).well_formed);
    for (std::size_t size = 0; size < body.size(); ++size)
      EXPECT_FALSE(serve_bytes<Call>(body.bytes().first(size), request.handles).well_formed) << size;
  });
}

TEST(EveryCallBroken, AHandleTooManyOrTooFewNeverReachesTheModule) {
  for_each_forwarded_call([&]<class Call>() {
    SCOPED_TRACE(Call::name);
    Buffer body;
    Request request = encode<Call>(body);
    request.handles.add(1);
    EXPECT_FALSE(serve_bytes<Call>(body.bytes(), request.handles).well_formed);
    Handles fewer;
    for (std::size_t i = 0; i + 2 < request.handles.size(); ++i) fewer.add(request.handles[i]);
    const bool takes_any = Call::number == number_of<&CK_FUNCTION_LIST_3_0::C_GetSlotList>();
    EXPECT_TRUE(takes_any || !serve_bytes<Call>(body.bytes(), fewer).well_formed);
  });
}

TEST(EveryCallBroken, SomethingBehindTheBodyNeverReachesTheModule) {
  for_each_forwarded_call([&]<class Call>() {
    SCOPED_TRACE(Call::name);
    Buffer body;
    const Request request = encode<Call>(body);
    Out(body).nil();
    EXPECT_FALSE(serve_bytes<Call>(body.bytes(), request.handles).well_formed);
  });
}

}  // namespace
}  // namespace p11shim
