#include "proxyd/calls/bodies.h"

#include "calls/mechanism_codec.h"
#include "calls/table.h"
#include "proxyd/tokens/refused_pins.h"

namespace p11shim {
namespace {

// By call number: the body starts with a pMechanism.
constexpr auto kStartsWithMechanism = [] {
  std::array<bool, kCallCount> starts{};
  for_each_call([&]<class C>() {
    starts[C::number] = []<class First, class... Rest>(Types<First, Rest...>) {
      if constexpr (sizeof...(Rest) == 0) return false;
      else return std::is_same_v<std::tuple_element_t<0, std::tuple<Rest...>>, Mechanism>;
    }(typename C::Arguments{});
  });
  return starts;
}();

// The layouts of its parameter differ in size.
template <class Params>
const Params* as(const CK_MECHANISM& mechanism) {
  return mechanism.ulParameterLen == sizeof(Params) ? static_cast<const Params*>(mechanism.pParameter) : nullptr;
}

}  // namespace

LoginArguments read_login(std::span<const std::uint8_t> body, bool with_name) {
  LoginArguments arguments;
  In in(body);
  arguments.user = in.uint();
  arguments.pin = next_secret(in);
  if (with_name) arguments.user_name = next_secret(in);
  arguments.well_formed = in.done();
  return arguments;
}

bool names_its_mechanism(const Request& request) {
  const bool is_led = request.init != 0;
  if (!kStartsWithMechanism[is_led ? request.init : request.call]) return !request.has_mechanism;
  In in(is_led ? request.init_body : request.body);
  if (in.nil_if()) return !request.has_mechanism;
  in.array_of(2);
  const std::uint64_t type = in.uint();
  return in.ok() && request.has_mechanism && type == request.mechanism;
}

bool answers_length_query(std::span<const std::uint8_t> body) {
  In in(body);
  in.uint();
  return in.done();
}

bool leaves_nonce_to_module(std::span<const std::uint8_t> body) {
  In in(body);
  Handles none;
  Arena arena;
  arena.mark_secret();
  CK_MECHANISM mechanism{};
  decode_mechanism(in, none, arena, mechanism);
  if (!in.ok() || mechanism.pParameter == nullptr) return false;
  if (const auto* wrap = as<CK_GCM_WRAP_PARAMS>(mechanism)) return wrap->ivGenerator != CKG_NO_GENERATE;
  if (const auto* nss = as<CK_NSS_GCM_PARAMS>(mechanism)) return nss->pIv == nullptr || nss->ulIvLen == 0;
  if (const auto* gcm = as<CK_GCM_PARAMS>(mechanism)) return gcm->pIv == nullptr || gcm->ulIvLen == 0;
  return false;
}

bool find_description(std::span<const std::uint8_t> annex, std::uint64_t real, Description& description) {
  In in(annex);
  while (in.ok() && in.remaining() != 0)
    if (read_description(in, description) && description.object == real) return true;
  return false;
}

}  // namespace p11shim
