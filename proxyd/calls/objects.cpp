// Object handles, from the application's to the module's and back.
#include <algorithm>

#include "proxyd/calls/bodies.h"
#include "proxyd/calls/client_call.h"

namespace p11shim {
namespace {

// What stands for a handle that is not valid for this application: it is valid for no module (§5.6.1), so the module
// itself says what is wrong, in its own order of checks.
constexpr std::uint64_t kNoObject = CK_INVALID_HANDLE;

}  // namespace

// Fills forwarded_.handles. False: it waits for a search, and this step is repeated.
bool ClientCall::translate(Place& place) {
  forwarded_.handles.clear();
  forwarded_.handles.add(0);  // the real session, once there is one
  for (std::size_t i = 1; i < request_.handles.size(); ++i) {
    std::uint64_t real = kNoObject;
    if (!only_asks_ && !resolve(place, request_.handles[i], real)) return false;
    forwarded_.handles.add(real);
  }
  return true;
}

bool ClientCall::resolve(Place& place, std::uint64_t handle, std::uint64_t& real) {
  real = kNoObject;
  if (handle == CK_INVALID_HANDLE) return true;
  if ((handle & kSessionObjectBit) != 0) {
    const auto found = application_->session_objects.find(handle);
    if (found == application_->session_objects.end()) return true;
    if (found->second->place != &place.objects) return copy_here(place, handle, *found->second, real);
    real = found->second->real;
    note_key(nullptr, found->second.get());
    return true;
  }
  const TokenObject* object = pool_->objects.find(handle);
  if (object != nullptr && object->is_private &&
      !(sees_private() && application_->token(*pool_).private_handles.contains(handle)))
    return true;
  real = place.objects.real_of(handle);
  if (real != kNoObject && object != nullptr) {
    note_key(object, nullptr);
    return true;
  }
  real = kNoObject;
  if (pool_->balanced()) return true;  // the member was chosen by what it has
  // Known elsewhere, or from before a restart: perhaps this worker has only not been asked yet.
  const std::uint64_t now = services_.runtime.now_ms();
  if (object != nullptr ? !place.objects.may_look_for(handle, now) : !place.objects.may_list(now)) return true;
  take_inventory(place);
  return false;
}

// Whether this application is logged in, or need not be.
bool ClientCall::sees_private() const {
  if (application_->token(*pool_).login == LoginState::user) return true;
  const SlotEntry* entry = pool_->member.entry();
  return entry != nullptr && (entry->token.flags & CKF_LOGIN_REQUIRED) == 0;
}

// Lists every object of the token in this worker, then repeats the step.
void ClientCall::take_inventory(Place& place) {
  Buffer everything;
  Out(everything).array(0);
  Errand::find(place, std::move(everything), guarded([this, &place](Reply* reply) {
                 const auto listed = [this, &place] {
                   place.objects.note_listed(services_.runtime.now_ms());
                   go(step_);
                 };
                 if (reply == nullptr || reply->rv != CKR_OK) return listed();
                 learn(findings_of(place, *reply), listed);
               }));
}

// Makes the token objects that an annex describes known, here and in the pool.
void ClientCall::absorb(Place& place, std::span<const std::uint8_t> annex) {
  if (annex.empty()) return;
  In in(annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description))
    if (description.readable && description.is_token) (void)pool_->bind(place, description, {});
}

// Every handle that a module returns is registered before the application learns it.
void ClientCall::issue_created(Reply& reply) {
  if (!pool_->balanced()) absorb(*place_, reply.annex);
  for (const std::uint64_t real : reply.handles) {
    if (real == CK_INVALID_HANDLE) {
      reply_.handles.add(CK_INVALID_HANDLE);
      continue;
    }
    Description description;
    const bool described = find_description(reply.annex, real, description);
    const std::uint64_t token_handle = described && description.is_token ? place_->objects.handle_of(real) : 0;
    if (token_handle == 0) {
      description.object = real;
      reply_.handles.add(issue_session_object(description));
      continue;
    }
    if (description.is_private) application_->token(*pool_).private_handles.insert(token_handle);
    if (!has_key_) note_key(pool_->objects.find(token_handle), nullptr);
    reply_.handles.add(token_handle);
  }
}

// In a worker that all login domains share the module thinks that everybody is logged in: a private object that somebody
// else made is destroyed again.
bool ClientCall::refuse_private(const Reply& reply) {
  if (!pool_->member.user().is_shared() || sees_private()) return false;
  bool refused = false;
  In in(reply.annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description))
    refused |= description.readable && description.is_private;
  if (!refused) return false;
  // Answered when they are gone: nobody may see them afterwards.
  const auto left = std::make_shared<std::size_t>(reply.handles.size());
  for (const std::uint64_t real : reply.handles) {
    const std::uint64_t handles[] = {forwarded_.handles[0], real};
    OwnCall::start(place_->worker, number_of<&CK_FUNCTION_LIST_3_0::C_DestroyObject>(), handles, {},
                   guarded([this, left](Reply* destroyed) {
                     if (destroyed == nullptr) lease_ = nullptr;  // gone with its worker
                     if (--*left == 0) finish(CKR_USER_NOT_LOGGED_IN);
                   }));
  }
  return true;
}

std::uint64_t ClientCall::issue_session_object(const Description& description) {
  auto object = std::make_shared<SessionObject>();
  object->real = description.object;
  object->place = &place_->objects;
  object->pool = pool_;
  object->object_class = description.object_class;
  object->is_private = description.is_private;
  object->has_key_type = description.has_key_type;
  object->key_type = description.key_type;
  object->label.assign(description.label.begin(), description.label.end());
  const Hold* hold = session_->hold_in(*place_);
  // What does not tell whether it is a token object is never destroyed on our account.
  if (description.readable) object->creator = hold != nullptr ? hold->session : lease_;
  if (object->creator != nullptr) ++object->creator->owned_objects;
  place_->objects.add(object);
  const std::uint64_t handle = kSessionObjectBit | application_->next_session_object++;
  if (!has_key_) note_key(nullptr, object.get());
  services_.applications.register_object(*application_, *session_, handle, std::move(object));
  return handle;
}

// The lane has named the objects as the module does. Those that the application does not learn of now are left out.
void ClientCall::name_values() {
  Buffer named;
  In in(values_.bytes());
  Out out(named);
  while (in.ok() && in.remaining() != 0) {
    const std::uint64_t real = in.uint();
    const auto values = in.bin();
    if (request_.handles.size() > 1) {  // the one that the call names
      if (real != forwarded_.handles[1]) continue;
      out.uint(request_.handles[1]);
    } else {
      std::uint64_t handle = place_->objects.handle_of(real);
      if (handle == 0)
        if (const auto object = place_->objects.session_object(real)) handle = object->handle;
      if (std::find(reply_.handles.begin(), reply_.handles.end(), handle) == reply_.handles.end()) continue;
      out.uint(handle);
    }
    out.bin(values);
  }
  values_.swap(named);
  if (in.ok()) reply_.values = values_.bytes();
}

void ClientCall::note_changed(Reply& reply) {
  Description description;
  TokenObject* object = pool_->objects.find(request_.handles[1]);
  if (object == nullptr || !find_description(reply.annex, forwarded_.handles[1], description) || !description.readable)
    return;
  pool_->objects.changed(*object, description, pool_->member.serial());
}

void ClientCall::note_destroyed() {
  const std::uint64_t handle = request_.handles[1];
  if ((handle & kSessionObjectBit) != 0) return services_.applications.drop_object(*application_, handle, false);
  pool_->note_destroyed(handle);
  application_->token(*pool_).private_handles.erase(handle);
}

void ClientCall::note_key(const TokenObject* object, const SessionObject* session_object) {
  if (has_key_ || !services_.audit.wants(info_->policy.audit)) return;
  has_key_ = true;
  if (object != nullptr) {
    key_.object_class = object->object_class;
    key_.has_type = object->has_key_type;
    key_.type = object->key_type;
    key_.id = object->id;
    key_.label = object->label;
  } else if (session_object != nullptr) {
    key_.object_class = session_object->object_class;
    key_.has_type = session_object->has_key_type;
    key_.type = session_object->key_type;
    key_.id.clear();
    key_.label = session_object->label;
  }
}

}  // namespace p11shim
