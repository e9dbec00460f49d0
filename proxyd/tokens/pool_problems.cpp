// What is wrong with a pool's members as they are seen, each in one line for the operator.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "proxyd/tokens/pool.h"
#include "proxyd/tokens/token_problems.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kMostLookMs = 30'000;
}

// Where proxyd logs in by itself it need not wait for an application to see who has the wrapping key. Once, after its start.
bool Pool::looks_first(std::uint64_t now_ms) {
  if (first_look_ == Look::wanted) {
    const bool may_look = config.balance.replication == Replication::wrap && member.config().login == LoginMode::daemon;
    first_look_ = may_look ? Look::asking : Look::over;
    look_ends_ms_ = now_ms + kMostLookMs;
    if (may_look)
      login.log_in_with_own_pin([this](CK_RV rv) {
        const bool is_wanted = first_look_ == Look::asking;
        if (is_wanted) first_look_ = rv == CKR_OK ? Look::under_way : Look::over;
        else if (rv == CKR_OK) login.leave([] {});
      });
  }
  if (first_look_ == Look::under_way) {
    static_cast<void>(problems());  // notes what is seen
    const bool has_seen_all = std::ranges::all_of(members, [](const auto& each) {
      return each->wrapping_keys || !each->quarantine.empty() || each->health.wanted == Wanted::maint ||
             each->member.user().worker().state() == Worker::State::backoff;
    });
    if (has_seen_all || now_ms >= look_ends_ms_) {
      tell_problems();
      end_first_look();
    }
  }
  return first_look_ == Look::asking || first_look_ == Look::under_way;
}

void Pool::end_first_look() {
  if (std::exchange(first_look_, Look::over) == Look::under_way) login.leave([] {});
}

std::vector<std::string> Pool::problems() {
  if (!balanced()) return {};
  std::vector<SeenToken> seen;
  for (const auto& each : members)
    if (each->member.backend().worker().state() == Worker::State::ready)
      seen.push_back({each->member.name(), each->member.entry()});
  std::vector<std::string> all = token_problems(seen);
  add_wrapping_key_problems(all);
  debts.add_problems(all);
  if (!knows_its_face() && !std::ranges::any_of(members, [this](const auto& each) {
        return each->member.name() == config.looks_like &&
               each->member.backend().worker().state() != Worker::State::backoff;
      }))
    all.push_back("member " + config.looks_like +
                  " (looks_like) was never seen: nobody knows what the token looks like");
  if (const std::string why = why_nobody_serves(); !why.empty())
    all.push_back("no member can serve (" + why +
                  (config.balance.removable ? "): its token is gone"
                                            : "): calls wait for their deadline, then fail with CKR_DEVICE_ERROR"));
  return all;
}

std::vector<std::uint64_t> Pool::wrapping_keys_on(const Place& place) const {
  std::vector<std::uint64_t> keys;
  objects.for_each([&](const TokenObject& object) {
    if (object.object_class != CKO_SECRET_KEY || object.label != config.balance.wrapping_key) return;
    if (const std::uint64_t real = place.objects.real_of(object.handle); real != 0) keys.push_back(real);
  });
  return keys;
}

// Who has the key that keys are copied under. What a member showed last counts while nobody is logged in there.
void Pool::add_wrapping_key_problems(std::vector<std::string>& all) {
  if (config.balance.replication != Replication::wrap) return;
  const std::string key = "key \"" + config.balance.wrapping_key + "\" (wrapping_key)";
  std::string unknown;
  for (const auto& each : members) {
    Place* place = place_of(*each, each->logged_in);
    if (place != nullptr && !each->survey_of(*place).incomplete()) {
      const std::size_t count = wrapping_keys_on(*place).size();
      if (count != 0 || each->logged_in) each->wrapping_keys = count;
    }
    if (!each->wrapping_keys) unknown += (unknown.empty() ? "" : ", ") + each->member.name();
    else if (*each->wrapping_keys != 1)
      all.push_back("member " + each->member.name() + " has " + (*each->wrapping_keys == 0 ? "no " : "several of ") +
                    key + ": no key can be copied to it or from it");
  }
  if (!unknown.empty())
    all.push_back("whether " + unknown + " have the " + key + " is known when an application has logged in");
}

// Empty: some member can, or is on its way.
std::string Pool::why_nobody_serves() {
  std::string why;
  for (const auto& each : members) {
    note_health(*each);  // so that what is down counts as down while it is tried
    const bool wanted = each->health.wanted == Wanted::ready;
    const std::string state = wanted ? health_of(*each).state : each->history.administrative().state;
    if (wanted && state != "down" && state != "ejected") return {};
    why += (why.empty() ? "" : ", ") + each->member.name() + ": " + state;
  }
  return why;
}

void Pool::tell_problems() {
  const std::vector<std::string> now = problems();
  for (const std::string& problem : now)
    if (!std::ranges::count(told_problems_, problem)) runtime_.log.warn("pool {}: {}", config.name, problem);
  for (const std::string& problem : told_problems_)
    if (!std::ranges::count(now, problem)) runtime_.log.info("pool {}: no longer: {}", config.name, problem);
  told_problems_ = now;
}

}  // namespace p11shim
