// Searches, changes and destruction over all members of a balanced pool.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/calls/client_call.h"
#include "proxyd/tokens/errand.h"

namespace p11shim {

// A search has run on one member and is active there; its result is that of all, which are asked at the same time.
void ClientCall::find_on_all(const Reply& reply) {
  session_->end_find();
  attempts_.found.clear();
  attempts_.finding = 1;
  services_.deadlines.arm(attempt_deadline_, services_.runtime.now_ms() + static_cast<std::uint64_t>(pool_->config.balance.attempt_timeout.count()));
  Place* const first = place_;
  const auto ask = [&](Place& place, bool session_objects_only) {
    ++attempts_.finding;
    Buffer tmpl;
    tmpl.append(search_template().data(), search_template().size());
    Survey& survey = pool_->of(place).survey_of(place);
    Errand::find(place, std::move(tmpl), guarded([this, &place, &survey, session_objects_only](Reply* found) {
      if (found == nullptr || found->rv != CKR_OK) return found_one();
      take_found(survey, place, *found, session_objects_only);
    }));
  };
  for (const auto& each : pool_->members) {
    Place* usual = pool_->place_of(*each, logged_in());
    for (Place* place : {&each->member.public_place(), &each->member.user().place()}) {
      if (place == first) continue;
      const bool has_own = std::any_of(application_->session_objects.begin(), application_->session_objects.end(),
                                       [&](const auto& entry) { return entry.second->place == &place->objects; });
      if (place == usual || has_own) ask(*place, place != usual);
    }
  }
  take_found(pool_->of(*first).survey_of(*first), *first, reply, false);
}

void ClientCall::take_found(Survey& survey, Place& place, const Reply& reply, bool session_objects_only) {
  survey.take(reply, guarded([this, &place, session_objects_only](const std::vector<std::uint64_t>& reals) {
    if (attempts_.finding == 0) return;
    add_found(place, reals, session_objects_only);
    found_one();
  }));
}

void ClientCall::found_one() {
  if (attempts_.finding != 0 && --attempts_.finding == 0) finish_finding();
}

// All have answered, or their time is over: what a silent member has is missing, as if it were down.
void ClientCall::finish_finding() {
  attempts_.finding = 0;
  attempt_deadline_.disarm();
  search_done();
}

// Changes and destruction reach every copy or are not begun: a copy that is out of reach would come back as it was.
bool ClientCall::reaches_every_copy() {
  const Objects kind = info_->policy.objects;
  if (kind != Objects::changes && kind != Objects::destroys) return true;
  if (request_.handles.size() < 2) return true;
  const TokenObject* object = pool_->objects.find(request_.handles[1]);
  if (object == nullptr) return true;
  for (const auto& each : pool_->members) {
    Place* place = pool_->place_of(*each, logged_in());
    if (place != nullptr || (object->members & each->bit()) == 0) continue;
    services_.runtime.log.warn("pool {}: {} refused: member {} has a copy of the object and cannot be reached", pool_->config.name, info_->name,
                               each->member.name());
    return false;
  }
  return true;
}

// Done on one member: now the others that have a copy.
void ClientCall::change_copies(CK_RV rv) {
  attempts_.finding = 1;
  copies_rv_ = rv;
  for (const auto& each : pool_->members) {
    Place* place = pool_->place_of(*each, logged_in());
    const std::uint64_t real = place != nullptr && place != place_ ? place->objects.real_of(request_.handles[1]) : 0;
    if (real == 0) continue;
    ++attempts_.finding;
    Buffer body;
    body.append(request_.body.data(), request_.body.size());
    Errand::change(*place, request_.call, real, std::move(body), guarded([this](Reply* reply) {
      if (reply == nullptr || reply->rv != CKR_OK) copies_rv_ = reply == nullptr ? CKR_DEVICE_ERROR : reply->rv;
      copy_changed();
    }));
  }
  copy_changed();
}

void ClientCall::copy_changed() {
  if (--attempts_.finding != 0) return;
  if (copies_rv_ == CKR_OK && info_->policy.objects == Objects::destroys) note_destroyed();
  finish(copies_rv_);
}

}  // namespace p11shim
