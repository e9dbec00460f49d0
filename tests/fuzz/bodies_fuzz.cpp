// Covers read_login, next_secret, names_its_mechanism, leaves_nonce_to_module, answers_length_query, data_size,
// makes_sealed_key, sealed_body, find_description, PublicKey::read and base_point: whatever of bodies, annexes and key contents
// proxyd itself reads. What it takes out of a body lies in the body, and what it writes again is read again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "calls/table.h"
#include "proxyd/calls/auditing.h"
#include "proxyd/calls/bodies.h"
#include "proxyd/calls/sealed_creation.h"
#include "proxyd/objects/public_key.h"
#include "proxyd/tokens/refused_pins.h"

namespace p11shim {
namespace {

using Bytes = std::span<const std::uint8_t>;

void require(bool condition) {
  if (!condition) std::abort();
}

void as_login(Bytes body) {
  for (const bool with_name : {false, true}) {
    const LoginArguments login = read_login(body, with_name);
    require(login.pin.is_secret() && (!with_name || login.user_name.is_secret()));
    if (!login.well_formed) continue;
    require(login.user_name.empty() != with_name);
    // A PIN is taken out as it stands, or as NULL.
    const Bytes pin = login.pin.bytes();
    require(In(pin).next_is_uint() == is_null_pin(login.pin));
    In in(body);
    in.uint();
    in.next_is_uint() ? require(is_null_pin(login.pin)) : require(std::ranges::equal(in.bin(), In(pin).bin()));
  }
}

void as_request(Bytes body) {
  Request request;
  for_each_call([&]<class Call>() {
    request.call = Call::number;
    request.body = body;
    request.has_mechanism = true;
    const bool named = names_its_mechanism(request);
    request.has_mechanism = false;
    require(!named || !names_its_mechanism(request));
    if (!makes_sealed_key(request)) return;
    Buffer sealed;
    require(sealed_body(request, sealed) && sealed.is_secret());
    // It is sealed no more: anybody on the module's side could wrap it.
    request.body = sealed.bytes();
    require(!makes_sealed_key(request));
  });
}

}  // namespace
}  // namespace p11shim

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  const Bytes bytes(data, size);
  as_login(bytes);
  as_request(bytes);
  require(data_size(bytes) <= std::uint64_t{size} * UINT32_MAX);
  leaves_nonce_to_module(bytes);
  answers_length_query(bytes);
  Description description;
  if (find_description(bytes, 1, description)) require(description.object == 1);
  if (const auto key = PublicKey::read(bytes)) {
    require(!key->normal_form().empty() && key->x().size() <= key->normal_form().size());
    (void)key->verifies(bytes, bytes);
  }
  base_point(bytes);
  return 0;
}
