#include "proxyd/tokens/pool_pins.h"

#include <spdlog/spdlog.h>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

Buffer copy_of(const Buffer& secret) {
  Buffer copy;
  copy.mark_secret();
  copy.append(secret.data(), secret.size());
  return copy;
}

// One step on every member, one after the other. What the first refuses is not tried on the others.
struct Round : std::enable_shared_from_this<Round> {
  using Step = std::function<void(Member&, PinDone)>;
  Pool* pool = nullptr;
  const char* what = "";
  std::vector<Member*> members;
  std::size_t next = 0;
  Step step;
  std::function<void(CK_RV, const std::vector<Member*>& done)> end;
  std::vector<Member*> done;
  CK_RV rv = CKR_OK;

  void go() {
    if (next == members.size()) return finish();
    Member& member = *members[next++];
    step(member, [self = shared_from_this(), &member](CK_RV answer) {
      if (answer == CKR_OK) {
        self->done.push_back(&member);
      } else {
        if (self->rv == CKR_OK) self->rv = answer;
        self->pool->runtime().log.error("pool {}: member {}: {}: {}", self->pool->config.name, member.name(),
                                        self->what, display(NameKind::ckr, answer));
        if (self->done.empty()) return self->finish();
      }
      self->go();
    });
  }
  void finish() {
    if (rv != CKR_OK && !done.empty()) {
      std::string names;
      for (const Member* each : done) names += (names.empty() ? "" : ", ") + each->name();
      pool->runtime().log.error("pool {}: {} was done on {} only: put the others right one by one", pool->config.name,
                                what, names);
    }
    const auto tell = std::move(end);
    tell(rv, done);
  }
};

Place& place_in(Member& member, PinDomain domain) {
  switch (domain) {
    case PinDomain::so: return member.so().place();
    case PinDomain::user: return member.user().place();
    case PinDomain::nobody: break;
  }
  return member.public_place();
}

bool is_there(const Membership& membership, PinDomain domain) {
  if (membership.health.wanted == Wanted::maint || membership.health.breaker.state() == Breaker::State::open)
    return false;
  if (domain == PinDomain::user && !membership.logged_in) return false;
  return place_in(membership.member, domain).worker.state() == Worker::State::ready;
}

}  // namespace

void change_pins(Pool& pool, PinDomain domain, std::uint32_t call, Buffer body, PinDone done) {
  const auto round = std::make_shared<Round>();
  round->pool = &pool;
  round->what = call == number_of<&CK_FUNCTION_LIST_3_0::C_InitPIN>() ? "C_InitPIN" : "C_SetPIN";
  for (const auto& each : pool.members) {
    if (!is_there(*each, domain)) {
      pool.runtime().log.warn(
          "pool {}: {} refused: member {} cannot be reached, and PINs are changed on all members or on none",
          pool.config.name, round->what, each->member.name());
      return done(CKR_DEVICE_ERROR);
    }
    round->members.push_back(&each->member);
  }
  round->step = [domain, call, pins = std::make_shared<Buffer>(std::move(body))](Member& member, PinDone answered) {
    if (domain == PinDomain::nobody) member.backend().renew_if_stale();
    Errand::call(place_in(member, domain), call, {}, true, copy_of(*pins),
                 [domain, &member, answered = std::move(answered)](Reply* reply) {
                   if (reply == nullptr || reply->rv != CKR_OK)
                     return answered(reply == nullptr ? CKR_DEVICE_ERROR : reply->rv);
                   // Workers that were running meanwhile may not check PINs any more.
                   member.user().pin_changed(domain == PinDomain::user);
                   member.so().pin_changed(domain == PinDomain::so);
                   if (domain != PinDomain::nobody) member.backend().note_pin_changed();
                   answered(CKR_OK);
                 });
  };
  round->end = [done = std::move(done)](CK_RV rv, const auto&) { done(rv); };
  round->go();
}

void log_in_so(Pool& pool, Buffer pin, PinDone done) {
  const auto round = std::make_shared<Round>();
  round->pool = &pool;
  round->what = "the login of the security officer";
  for (const auto& each : pool.members) round->members.push_back(&each->member);
  round->step = [kept = std::make_shared<Buffer>(std::move(pin))](Member& member, PinDone answered) {
    member.so().log_in(copy_of(*kept), {}, nullptr, std::move(answered));
  };
  round->end = [done = std::move(done)](CK_RV rv, const std::vector<Member*>& logged_in) {
    if (rv != CKR_OK)
      for (Member* member : logged_in) member->so().log_out([] {});
    done(rv);
  };
  round->go();
}

void log_out_so(Pool& pool, std::function<void()> done) {
  const auto left = std::make_shared<std::size_t>(pool.members.size());
  const auto one = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const auto& each : pool.members) each->member.so().log_out(one);
}

}  // namespace p11shim
