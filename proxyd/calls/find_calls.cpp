// Searches. The worker returns the whole result with C_FindObjectsInit; C_FindObjects hands it out from here, or it goes to
// the application at once, if its shim brings the Init along with C_FindObjects. A search that came call by call stays active in the real session until the application ends it, so that the module's own rules about operations
// at the same time hold. Of session objects an application sees its own, wherever they are.
#include <algorithm>

#include "proxyd/calls/client_call.h"

namespace p11shim {

void ClientCall::collect_found(Reply& reply) {
  collects_ = true;
  session_->found.clear();
  session_->found_next = 0;
  const auto findings = findings_of(*place_, reply);  // before anything else can happen to the worker
  settle_lease();                                     // nobody would tell us that it has gone with its worker

  for (Place* place : pool_->member.places())
    if (place != place_ && application_->session_objects_in.contains(&place->objects) &&
        std::find(elsewhere_.begin(), elsewhere_.end(), place) == elsewhere_.end())
      elsewhere_.push_back(place);
  // A search beside an operation from before the login does not see what the login shows.
  if (Place* own = &application_->place(*pool_);
      own != place_ && sees_private() && std::ranges::find(elsewhere_, own) == elsewhere_.end())
    elsewhere_.push_back(own);
  learn(findings, [this, findings] { add_findings(findings); });
}

void ClientCall::describe(Place& place, std::vector<std::uint64_t> unknown, Described then) {
  if (unknown.empty()) return then();
  Errand::describe_some(
      place, std::move(unknown),
      guarded([this, &place, then = std::move(then)](Reply* reply, std::vector<std::uint64_t> left) mutable {
        if (reply == nullptr) return search_failed(CKR_DEVICE_ERROR);
        absorb(place, reply->annex);
        describe(place, std::move(left), std::move(then));
      }));
}

void ClientCall::search_failed(CK_RV rv) {
  if (is_whole_search()) reply_.init_rv = rv;
  finish(rv);
}

// The application is told that it has not begun. Where it is active in the module its real session goes with it, unless
// other operations are active there.
void ClientCall::abandon_search() {
  session_->end_find();
  Hold* hold = session_->hold_in(*place_);
  if (hold == nullptr || hold->active != Operation::find || hold->in_doubt != Operation::none) return;
  lease_ = hold->session;
  lease_->tainted = true;
  std::erase_if(session_->holds, [&](const Hold& other) { return other.place == place_; });
}

void ClientCall::add_found(Place& place, std::span<const std::uint64_t> reals, bool session_objects_only) {
  TokenState& state = application_->token(*pool_);
  const bool others_follow = !elsewhere_.empty();
  for (const std::uint64_t real : reals) {
    if (const std::uint64_t handle = place.objects.handle_of(real); handle != 0) {
      const TokenObject* object = pool_->objects.find(handle);
      if (session_objects_only || object == nullptr || found_handles_.contains(handle) ||
          (object->is_private && !sees_private()))
        continue;
      if (object->is_private) state.private_handles.insert(handle);
      if (pool_->balanced() && !attempts_.found.insert(handle).second) continue;  // another member has it too
      if (others_follow) found_handles_.insert(handle);
      session_->found.push_back(handle);
      continue;
    }
    const auto object = place.objects.session_object(real);
    if (object == nullptr) continue;
    const auto own = application_->session_objects.find(object->handle);
    if (own != application_->session_objects.end() && own->second == object) session_->found.push_back(object->handle);
  }
}

// Session objects that were made under another login state live in another worker.
void ClientCall::find_elsewhere() {
  if (elsewhere_.empty()) return search_done();
  Place& place = *elsewhere_.back();
  elsewhere_.pop_back();
  Buffer tmpl;
  tmpl.append(search_template().data(), search_template().size());
  const bool is_own = &place == &application_->place(*pool_);
  Errand::find(place, std::move(tmpl), guarded([this, &place, is_own](Reply* reply) {
                 if (reply == nullptr || reply->rv != CKR_OK) {
                   // Objects of a worker that is gone are gone, too.
                   if (!is_own && !application_->session_objects_in.contains(&place.objects)) return find_elsewhere();
                   return search_failed(reply != nullptr ? reply->rv : CKR_DEVICE_ERROR);
                 }
                 const auto findings = findings_of(place, *reply, !is_own);
                 learn(findings, [this, findings] { add_findings(findings); });
               }));
}

// A search that gave up its real session is active for the application as before, but no longer in the module.
void ClientCall::find_objects_init() {
  step_ = &ClientCall::find_objects_init;
  if (!enter_session()) return;
  if (session_->search_detached) return finish(CKR_OPERATION_ACTIVE);
  go(&ClientCall::forward_session);
}

void ClientCall::find_objects_final() {
  step_ = &ClientCall::find_objects_final;
  if (!enter_session()) return;
  if (!std::exchange(session_->search_detached, false)) return go(&ClientCall::forward_session);
  session_->found = {};
  session_->found_next = 0;
  finish(CKR_OK);
}

bool ClientCall::is_whole_search() const {
  return request_.init == number_of<&CK_FUNCTION_LIST_3_0::C_FindObjectsInit>();
}

void ClientCall::search_in_one_step() {
  step_ = &ClientCall::search_in_one_step;
  if (!enter_session()) return;
  if (!session_->search_detached) return go(&ClientCall::forward_session);
  reply_.init_rv = CKR_OPERATION_ACTIVE;
  finish(CKR_OPERATION_ACTIVE);
}

// What was found stays here until it is asked for, or goes out at once, if the search is over in the module as well.
void ClientCall::search_done() {
  if (!is_whole_search()) return finish(CKR_OK);
  if (search_is_over_) {
    for (const std::uint64_t object : session_->found) reply_.handles.add(object);
    session_->found = {};
  }
  Out(scratch_).boolean(search_is_over_);
  finish(CKR_OK, scratch_.bytes());
}

void ClientCall::find_objects() {
  if (is_whole_search()) return go(&ClientCall::search_in_one_step);
  step_ = &ClientCall::find_objects;
  if (!enter_session()) return;
  if (!session_->search_detached && session_->hold_with(Operation::find) == nullptr)
    return finish(session_->take_lost(Operation::find) ? CKR_DEVICE_ERROR : CKR_OPERATION_NOT_INITIALIZED);
  In in(request_.body);
  const std::uint64_t wanted = in.uint();
  const std::size_t left = session_->found.size() - session_->found_next;
  const std::size_t given = std::min<std::uint64_t>(wanted, left);
  for (std::size_t i = 0; i < given; ++i) reply_.handles.add(session_->found[session_->found_next + i]);
  session_->found_next += given;
  if (session_->found_next == session_->found.size()) {
    session_->found = {};
    session_->found_next = 0;
  }
  finish(CKR_OK);
}

}  // namespace p11shim
