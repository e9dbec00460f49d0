// Searches over all members of a balanced pool.
#include <algorithm>

#include "proxyd/calls/client_call.h"
#include "proxyd/tokens/errand.h"

namespace p11shim {

// A search has run on one member and is active there; its result is that of all, which are asked at the same time. One that is
// ejected is not, as if it were down, unless the application has session objects there.
void ClientCall::find_on_all(const Reply& reply) {
  session_->end_find();
  settle_lease();  // nobody would tell this call of the death of its worker
  attempts_.found.clear();
  attempts_.finding = 1;
  services_.deadlines.arm(
      attempt_deadline_,
      services_.runtime.now_ms() + static_cast<std::uint64_t>(pool_->config.balance.attempt_timeout.count()));
  Place* const first = place_;
  const auto ask = [&](Place& place, bool session_objects_only) {
    ++attempts_.finding;
    Buffer tmpl;
    tmpl.append(search_template().data(), search_template().size());
    Survey& survey = pool_->of(place).survey_of(place);
    Errand::find(
        place, std::move(tmpl),
        guarded([this, &place, &survey, whole_below = survey.whole_below(), session_objects_only](Reply* found) {
          if (found == nullptr || found->rv != CKR_OK) return found_one();
          take_found(survey, place, *found, whole_below, session_objects_only);
        }));
  };
  for (const auto& each : pool_->members) {
    Place* usual = pool_->place_of(*each, logged_in());
    for (Place* place : {&each->member.public_place(), &each->member.user().place()}) {
      if (place == first) continue;
      const bool has_own = std::any_of(application_->session_objects.begin(), application_->session_objects.end(),
                                       [&](const auto& entry) { return entry.second->place == &place->objects; });
      const bool is_ejected = each->health.breaker.state() == Breaker::State::open;
      if ((place == usual && !is_ejected) || has_own) ask(*place, place != usual);
    }
  }
  take_found(pool_->of(*first).survey_of(*first), *first, reply, attempts_.whole_below, false);
}

void ClientCall::take_found(Survey& survey, Place& place, const Reply& reply, std::uint64_t whole_below,
                            bool session_objects_only) {
  survey.take(reply, whole_below,
              guarded([this, &place, session_objects_only](const std::vector<std::uint64_t>& reals) {
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

}  // namespace p11shim
