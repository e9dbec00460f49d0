// What runs on one member however many could: keys of which every use counts, and operations for which the module makes the nonces.
#include "proxyd/balance/faults.h"
#include "proxyd/calls/bodies.h"
#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

}  // namespace

// All that needs nonces of one key is done on the same member, and on no other when that one is away. A module makes them for
// messages, and where an IV is left to it.
const Member* ClientCall::counts_nonces_on() const {
  if (goes_on() || request_.handles.size() < 2) return nullptr;
  const Policy& policy = info_->policy;
  const bool is_message = (policy.operation & Operation::message_encrypt) != Operation::none;
  const bool encrypts =
      (policy.operation & Operation::encrypt) != Operation::none || request_.call == number_of<&List::C_WrapKey>();
  const bool is_gcm = request_.has_mechanism && request_.mechanism == CKM_AES_GCM;
  if (!is_message &&
      !(encrypts && is_gcm && leaves_nonce_to_module(request_.init != 0 ? request_.init_body : request_.body)))
    return nullptr;
  const TokenObject* key = pool_->objects.find(request_.handles[1]);
  return key != nullptr ? pool_->nonce_makers.of(*pool_, *key) : nullptr;
}

bool ClientCall::names_session_objects() const {
  for (std::size_t i = 1; i < request_.handles.size(); ++i)
    if ((request_.handles[i] & kSessionObjectBit) != 0) return true;
  return false;
}

// By its mechanism and the objects that it names.
bool ClientCall::may_be_repeated() const {
  if (names_session_objects()) return false;
  if (request_.has_mechanism && is_stateful(request_.mechanism)) return false;
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    const TokenObject* object = pool_->objects.find(request_.handles[i]);
    if (object != nullptr && object->counted) return false;
  }
  return true;
}

}  // namespace p11shim
