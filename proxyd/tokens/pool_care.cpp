// What a pool of several does by itself for its members: starts and logs them in, lists their objects, asks how they are,
// keeps account of it; and takes members in and lets them go while it serves.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/tokens/pool.h"
#include "proxyd/tokens/probe.h"

namespace p11shim {
namespace {

constexpr std::uint64_t kTendEveryMs = 100;
constexpr char kRemoved[] = "it was removed from its pool";

const char* text(Wanted wanted) {
  switch (wanted) {
    case Wanted::ready: return "ready";
    case Wanted::drain: return "drain";
    case Wanted::maint: return "maint";
    case Wanted::removed: return "removed";
  }
  return "?";
}

}  // namespace

Membership& Pool::enroll(Member& its_member) {
  const auto number = static_cast<std::uint32_t>(members.size() + retired_.size());
  Membership& added = *members.emplace_back(
      std::make_unique<Membership>(*this, its_member, number, config.balance.breaker, runtime_.random));
  added.health.breaker.set_changed([this, &added] { note_health(added); });
  login.watch(its_member);
  added.capabilities.restore(state_.mechanisms(config.name, its_member.name()));
  return added;
}

Membership& Pool::add_member(Member& its_member) {
  Membership& added = enroll(its_member);
  login.restore_quarantine(added);
  changed.resume_all();
  return added;
}

// Of all three login domains. Users are logged in again when it returns, from the PIN that is kept; a security officer is not.
void Pool::stop_workers(Membership& membership, const std::string& reason) {
  membership.empties = false;
  membership.member.user().worker().stop(reason);
  membership.member.so().stop(reason);
  membership.member.backend().worker().stop(reason);
}

void Pool::retire(Membership& membership) {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const auto& each) { return each.get() == &membership; });
  if (found == members.end()) return;
  if (std::exchange(membership.logged_in, false)) membership.member.user().log_out([] {});
  retired_.push_back(std::move(*found));
  members.erase(found);
  objects.forget_member(membership.number);
  debts.forget_member(membership.member.name());
  membership.member.user().stop(kRemoved);
  stop_workers(membership, kRemoved);
  runtime_.log.info("pool {}: member {} has left", config.name, membership.member.name());
  changed.resume_all();
}

std::vector<const TokenObject*> Pool::only_on(const Membership& membership) const {
  std::vector<const TokenObject*> alone;
  objects.for_each([&](const TokenObject& object) {
    if (object.members == membership.bit()) alone.push_back(&object);
  });
  return alone;
}

Membership* Pool::numbered(std::size_t number) {
  for (const auto& each : members)
    if (each->number == number) return each.get();
  return nullptr;
}

Pool::Operational Pool::health_of(Membership& membership) const {
  const Breaker& breaker = membership.health.breaker;
  if (breaker.state() == Breaker::State::open) return {"ejected", breaker.reason()};
  if (!membership.quarantine.empty()) return {"down", membership.quarantine};
  if (!membership.distrust.empty()) return {"down", membership.distrust};
  Worker& worker = login.applications() != 0 ? membership.member.user().worker() : membership.member.backend().worker();
  if (worker.state() == Worker::State::backoff) return {"down", worker.failure().reason};
  const bool serves = sessions == 0 ? worker.state() == Worker::State::ready
                                    : place_of(membership, login.applications() != 0) != nullptr;
  const bool trial = breaker.state() == Breaker::State::half_open;
  if (serves) return trial ? Operational{"trial", breaker.reason()} : Operational{"up", ""};
  // What is down is so until it serves again, however often it is tried meanwhile.
  if (trial) return {"down", breaker.reason()};
  const Condition& before = membership.history.operational();
  if (before.state == "down") return {"down", before.reason};
  return {"starting", ""};
}

void Pool::note_health(Membership& membership) {
  const Operational now = health_of(membership);
  const std::string before = membership.history.operational().state;
  if (!membership.history.note(false, now.state, now.reason)) return;
  const bool trouble = now.state == std::string("ejected") || now.state == std::string("down");
  runtime_.log.log(trouble ? spdlog::level::warn : spdlog::level::info, "pool {}: member {} was {} and is {}{}{}",
                   config.name, membership.member.name(), before, now.state, now.reason.empty() ? "" : ": ",
                   now.reason);
}

void Pool::set_wanted(Membership& membership, Wanted wanted, const std::string& reason) {
  membership.health.wanted = wanted;
  membership.history.note(true, text(wanted), reason);
  remember_wish(membership);
  changed.resume_all();
}

void Pool::set_weight(Membership& membership, std::uint32_t weight) {
  membership.weight = weight;
  remember_wish(membership);
}

// Which members there are says the configuration: one that leaves is remembered as if nobody had asked for anything.
void Pool::remember_wish(const Membership& membership) {
  const Condition& now = membership.history.administrative();
  const bool leaves = membership.health.wanted == Wanted::removed;
  const std::uint32_t configured = membership.member.config().weight;
  const bool own_weight = !leaves && membership.weight != configured;
  state_.remember(StateDirectory::MemberWish{
      config.name, membership.member.name(), leaves ? text(Wanted::ready) : now.state, leaves ? "" : now.reason,
      static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(now.since)), own_weight ? membership.weight : 0,
      configured});
}

// A weight that was changed in the configuration since then is the newer wish.
void Pool::restore_wishes() {
  state_.for_each([&](const StateDirectory::MemberWish& wish) {
    if (wish.pool != config.name) return;
    for (const auto& each : members) {
      if (each->member.name() != wish.member) continue;
      if (wish.weight != 0 && wish.configured_weight == each->member.config().weight) each->weight = wish.weight;
      for (const Wanted wanted : {Wanted::drain, Wanted::maint}) {
        if (wish.state != text(wanted)) continue;
        each->health.wanted = wanted;
        each->history.restore_administrative(
            wish.state, wish.reason, std::chrono::system_clock::from_time_t(static_cast<std::time_t>(wish.since)));
        runtime_.log.warn("pool {}: member {} is still in {} as the operator wants it{}{}", config.name, wish.member,
                          wish.state == "maint" ? "maintenance" : wish.state, wish.reason.empty() ? "" : ": ",
                          wish.reason);
      }
    }
  });
}

void Pool::tend(std::uint64_t now_ms) {
  if (!balanced() || initialising || now_ms - tended_ms_ < kTendEveryMs) return;
  tended_ms_ = now_ms;
  knows_its_face();
  for (const auto& each : members) {
    each->health.breaker.end_pause(now_ms);  // nobody may be calling
    note_health(*each);
  }
  const bool looks = looks_first(now_ms);
  if (!looks && sessions == 0 && changed.empty() && !debts.any() && why_nobody_serves().empty()) return;
  login.tend();
  for (const auto& each : members) {
    if (each->health.wanted == Wanted::maint) continue;
    for (Survey* survey : {&each->public_objects, &each->user_objects}) {
      if (survey == &each->user_objects && !each->logged_in) continue;
      if (!survey->current()) survey->begin();
      else if (survey->wants_listing()) survey->look_again(now_ms);
      survey->tend();
    }
    ask_mechanisms(*each);
    probe(*each, now_ms);
  }
  debts.tend(now_ms);
  changed.resume_all();
}

// Both workers, since either may hang alone.
void Pool::probe(Membership& membership, std::uint64_t now_ms) {
  const ProbeConfig& settings = config.balance.probe;
  if (settings.call == ProbeCall::none) return;
  if (membership.probes_open != 0) {
    if (now_ms - membership.probe_sent_ms < static_cast<std::uint64_t>(settings.timeout.count())) return;
    membership.health.breaker.hold_open();
    membership.health.breaker.trip(now_ms,
                                   "a probe got no answer in " + std::to_string(settings.timeout.count()) + " ms");
    if (now_ms - membership.probe_sent_ms >= static_cast<std::uint64_t>(settings.hung.count()))
      renew_hung_worker(membership);
    return;
  }
  if (now_ms - membership.probe_sent_ms < static_cast<std::uint64_t>(settings.interval.count())) return;
  membership.probe_sent_ms = now_ms;
  membership.probe_failed = false;
  std::vector<Place*> places{&membership.member.public_place()};
  if (membership.logged_in) places.push_back(&membership.member.user().place());
  for (Place* place : places)
    if (place->worker.state() == Worker::State::ready) send_probe(membership, *place);
}

void Pool::send_probe(Membership& membership, Place& place) {
  const ProbeConfig& settings = config.balance.probe;
  Probe::Key key;
  objects.for_each([&](const TokenObject& object) {
    if (settings.call != ProbeCall::sign || object.object_class != CKO_PRIVATE_KEY || object.label != settings.key)
      return;
    if (const std::uint64_t real = place.objects.real_of(object.handle); real != 0) key = {real, object.key_type};
  });
  ++membership.probes_open;
  membership.unanswered.push_back(&place);
  Probe::run(place, settings.call, key,
             [this, &membership, &place, alive = std::weak_ptr<char>(alive_)](const CK_RV* rv) {
               if (alive.expired()) return;
               --membership.probes_open;
               std::erase(membership.unanswered, &place);
               if (rv == nullptr) return;
               Breaker& breaker = membership.health.breaker;
               if (blame_of(*rv) != Blame::nobody) {
                 membership.probe_failed = true;
                 breaker.hold_open();
                 breaker.failed(runtime_.now_ms(), "a probe was answered with " + display(NameKind::ckr, *rv), false);
                 renew_failing_worker(membership, place, *rv);
               } else {
                 membership.bad_probes.erase(&place);
               }
               if (membership.probes_open == 0 && !membership.probe_failed) breaker.probed_well(runtime_.now_ms());
               changed.resume_all();
             });
}

// It may be the module that is broken, and not what it speaks to: another process may do better. Each time after twice as long.
void Pool::renew_failing_worker(Membership& membership, Place& place, CK_RV rv) {
  constexpr std::uint32_t kMost = 640;
  Membership::BadProbes& bad = membership.bad_probes[&place];
  if (++bad.in_row < bad.most || !membership.survey_of(place).can_renew()) return;
  bad = {0, std::min(2 * bad.most, kMost)};
  place.worker.renew("its module answers every probe with " + display(NameKind::ckr, rv));
}

// The probe is on a lane and its module does not return. In the queue it may wait for calls that take long by right.
void Pool::renew_hung_worker(Membership& membership) {
  const std::vector<Place*> hung = membership.unanswered;
  for (Place* place : hung)
    if (place->worker.state() == Worker::State::ready && place->worker.queued() == 0)
      place->worker.stop("it has not answered a probe for " + std::to_string(config.balance.probe.hung.count()) +
                         " ms");
}

bool Pool::absent() { return balanced() && config.balance.removable && !why_nobody_serves().empty(); }

}  // namespace p11shim
