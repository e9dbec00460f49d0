// A session object lives in the worker of the login domain in which it was made. A call that names objects of two domains
// runs where the one that cannot be moved is; of the others proxyd makes copies there, which live as long as the call.
// What is sensitive cannot be read, so it is not copied, and the module is given no valid handle for it.
#include "proxyd/calls/client_call.h"
#include "proxyd/login/secret_copy.h"

namespace p11shim {

// False: a copy is being made, and this step is repeated.
bool ClientCall::copy_here(Place& place, std::uint64_t handle, const SessionObject& original, std::uint64_t& real) {
  for (const Copy& copy : copies_) {
    if (copy.handle != handle) continue;
    if (copy.object == nullptr) return true;
    if (copy.object->place == &place.objects) return real = copy.object->real, true;
  }
  // What an operation goes on with must live as long as the operation.
  const bool begins = info_->policy.effect == Effect::starts || request_.init != 0;
  if (pool_->balanced() || original.is_private || begins) return true;
  for (Place* source : pool_->member.places()) {
    if (&source->objects != original.place) continue;
    Errand::read_out(*source, original.real, guarded([this, &place, source, handle](Reply* reply) {
      if (reply == nullptr || reply->rv != CKR_OK) return copied(handle, *source, nullptr);
      Errand::make(place, secret_copy(reply->body),
                   [this, source, handle, wanted = still_active()](std::shared_ptr<SessionObject> copy) {
                     if (wanted()) return copied(handle, *source, std::move(copy));
                     if (copy != nullptr && copy->place != nullptr) Applications::end_object(*copy, true);
                   });
    }));
    return false;
  }
  return true;
}

void ClientCall::copied(std::uint64_t handle, Place& source, std::shared_ptr<SessionObject> copy) {
  // Perhaps the others can be brought to this one.
  if (copy == nullptr && moved_to_ == nullptr && !names_private_object()) moved_to_ = &source;
  else copies_.push_back({handle, std::move(copy)});
  go(step_);
}

// A public session object from before the login is used where it is, but what is made of it may be private. True: the
// call is done again in the domain of the login.
bool ClientCall::moves_to_login(CK_RV rv) {
  if (rv != CKR_USER_NOT_LOGGED_IN || moved_to_ != nullptr || pool_->balanced() ||
      info_->policy.objects != Objects::creates)
    return false;
  Place& own = application_->place(*pool_);
  if (place_ == &own || application_->token(*pool_).login != LoginState::user) return false;
  moved_to_ = &own;
  settle_lease();
  go(step_);
  return true;
}

void ClientCall::drop_copies() {
  for (const Copy& copy : copies_)
    if (copy.object != nullptr && copy.object->place != nullptr) Applications::end_object(*copy.object, true);
  copies_.clear();
}

}  // namespace p11shim
