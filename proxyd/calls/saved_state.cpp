// Saved operation states (§5.6.5). Modules trust what they are given back (NSS copies it into its contexts), so a state is
// restored only for the application that got it, on the member that gave it, byte for byte as it was: proxyd keeps a keyed
// hash of each. Any other is kept from the module, which sees an empty state instead, so that one that supports none at
// all still says so.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

constexpr std::size_t kMostStates = 1024;  // of one application

Identity state_hash(const Id128& secret, const Member& member, std::span<const std::uint8_t> state) {
  Buffer message;
  message.mark_secret();
  message.append(member.name().data(), member.name().size() + 1);
  message.append(state.data(), state.size());
  Identity digest;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), message.data(), message.size(), digest.data(),
       nullptr);
  return digest;
}

}  // namespace

void ClientCall::set_operation_state() {
  step_ = &ClientCall::set_operation_state;
  if (application_->session(request_.handles[0]) == nullptr) return go(&ClientCall::forward_sessionless);
  if (!enter_session()) return;
  In in(request_.body);
  if (!in.next_is_uint()) {
    const auto& known = application_->saved_states;
    const auto state = in.bin();
    state_refused_ = true;
    for (const auto& each : pool_->members) {
      const Identity hash = state_hash(application_->secret, each->member, state);
      if (std::find(known.begin(), known.end(), hash) == known.end()) continue;
      state_refused_ = false;
      attempts_.only = &each->member;
      break;
    }
    if (state_refused_) {
      scratch_.clear();
      Out(scratch_).bin(nullptr, 0);
    }
  }
  go(&ClientCall::forward_session);
}

void ClientCall::remember_state(const Reply& reply) {
  if (reply.rv != CKR_OK) return;
  In in(reply.body);
  in.uint();
  if (in.remaining() == 0) return;  // a length query
  auto& known = application_->saved_states;
  if (known.size() == kMostStates) known.pop_front();
  known.push_back(state_hash(application_->secret, *place_->member, in.bin()));
}

}  // namespace p11shim
