#include "proxyd/tokens/survey.h"

#include <algorithm>
#include <unordered_set>

#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kLookAgainMs = 1000;
constexpr std::uint64_t kRenewMs = 2000;
}  // namespace

void Survey::begin() {
  if (running_) return;
  running_ = true;
  resume();
}

void Survey::look_again(std::uint64_t now_ms) {
  if (running_ || now_ms - begun_ms_ < kLookAgainMs) return;
  begin();
}

void Survey::tend() {
  if (notes_of_ != stamp()) return;
  look_at_half_made();
  check_doubtful();
}

// What was perhaps half made is looked at again when all are over that may have made it.
void Survey::look_at_half_made() {
  if (half_made_.empty()) return;
  const std::uint64_t whole = whole_below();
  std::vector<std::uint64_t> reals;
  std::erase_if(half_made_, [&](const auto& entry) {
    const bool known = place_.objects.handle_of(entry.first) != 0;
    if (!known && entry.second <= whole && reals.size() < Errand::kMostDescribed) reals.push_back(entry.first);
    return known;
  });
  if (reals.empty() || std::exchange(looking_, true)) return;
  Errand::describe(place_, reals, [this, reals, begun = stamp(), alive = std::weak_ptr<char>(alive_)](Reply* reply) {
    if (alive.expired()) return;
    looking_ = false;
    if (begun != stamp()) return;
    if (reply == nullptr) return doubt(pool_.runtime().now_ms());
    looking_ = true;
    take_described(reply->annex, [this, reals, begun](const auto&) {  // in doubt until they have been checked
      looking_ = false;
      if (begun == stamp())
        for (const std::uint64_t real : reals) incomplete_ |= half_made_.erase(real) != 0 && !is_known(real);
      pool_.changed.resume_all();
    });
  });
}

bool Survey::is_known(std::uint64_t real) const {
  std::vector<std::uint64_t> held;
  pool_.debts.add_held(place_, held);
  return place_.objects.handle_of(real) != 0 || std::ranges::find(held, real) != held.end();
}

bool Survey::looked_twice_since(std::uint64_t ms) const {
  return current() && second_last_ms_ > ms && !incomplete_ && std::ranges::none_of(half_made_, [&](const auto& entry) {
           return place_.objects.handle_of(entry.first) == 0;
         });
}

bool Survey::can_renew() const {
  LoginDomain& user = pool_.of(place_).member.user();
  const bool is_logged_in = &place_ == &user.place() && user.applications() != 0;
  return !place_.objects.has_session_objects() && (!is_logged_in || user.can_restart());
}

bool Survey::renew(const std::string& why) {
  const std::uint64_t now = pool_.runtime().now_ms();
  if (renewed_ms_ != 0 && now - renewed_ms_ < kRenewMs) return false;
  renewed_ms_ = now;
  place_.worker.renew(why);
  return true;
}

std::uint64_t Survey::whole_below() const {
  const Membership& membership = pool_.of(place_);
  // Nobody waits any more for calls that hang, but they may make something yet.
  for (const Place* place : {&membership.member.public_place(), &membership.member.user().place()})
    if (place->worker.stuck_lanes() != 0) return 0;
  return membership.creations.first_under_way();
}

void Survey::resume() {
  if (place_.worker.state() == Worker::State::backoff) return finished();
  if (!place_.worker.require(*this)) return;
  begun_ms_ = place_.worker.runtime().now_ms();
  incomplete_ = false;
  Buffer everything;
  Out(everything).array(0);
  Errand::find(place_, std::move(everything),
               [this, alive = std::weak_ptr<char>(alive_), begun = stamp(), whole = whole_below(),
                known = expected()](Reply* reply) {
                 if (alive.expired()) return;
                 if (reply == nullptr || reply->rv != CKR_OK || begun != stamp()) {
                   incomplete_ = true;
                   return finished();
                 }
                 const auto round = begin_round([this, begun, known](const std::vector<std::uint64_t>& reals) {
                   if (begun == stamp()) listed_all(begun, known, reals);
                   finished();
                 });
                 round->lists_all = true;
                 take(*reply, whole, round, &known);
               });
}

Place& Survey::other_place() const {
  Member& member = pool_.of(place_).member;
  return &place_ == &member.public_place() ? member.user().place() : member.public_place();
}

bool Survey::shows(const Pool& pool, const Place& place, const TokenObject& object) {
  return place.objects.real_of(object.handle) != 0 || pool.debts.holds(place, object.identity);
}

Survey::Expected Survey::expected() const {
  Expected known;
  known.reals = place_.objects.reals();
  pool_.debts.add_held(place_, known.reals);
  const Place& other = other_place();
  const bool sees_private = &place_ != &pool_.of(place_).member.public_place();
  for (const std::uint64_t real : other.objects.reals()) {
    const TokenObject* object = pool_.objects.find(other.objects.handle_of(real));
    if (object != nullptr && !object->fleeting && (sees_private || !object->is_private))
      known.handles.push_back(object->handle);
  }
  return known;
}

void Survey::listed_all(Stamp begun, const Expected& known, const std::vector<std::uint64_t>& reals) {
  second_last_ms_ = listed_ == begun ? last_ms_ : 0;
  last_ms_ = begun_ms_;
  listed_ = begun;
  if (trouble_.empty()) renewed_in_trouble_ = false;
  forget_missing(known, reals);
  judge_suspects();
}

// Before anything is bound: an object may have got another real handle, and is no twin of itself.
void Survey::unbind_unlisted(const Expected& known, const Round& round) {
  unlisted_.clear();
  for (const std::uint64_t real : known.reals) {
    const std::uint64_t handle = round.listed.contains(real) ? 0 : place_.objects.handle_of(real);
    if (handle == 0) continue;
    place_.objects.unbind_handle(handle);
    unlisted_.push_back(handle);
  }
}

// What should be in a listing and is not is asked for once more, and then of another process before it is believed.
void Survey::forget_missing(const Expected& known, const std::vector<std::uint64_t>& reals) {
  const std::unordered_set<std::uint64_t> listed(reals.begin(), reals.end());
  const auto suspect = [&](std::uint64_t handle) {
    if (suspects_.try_emplace(handle, pool_.runtime().now_ms()).second) incomplete_ = true;
  };
  for (const std::uint64_t real : known.reals)
    if (!listed.contains(real)) pool_.debts.miss_held(place_, real);
  for (const std::uint64_t handle : std::exchange(unlisted_, {}))
    if (place_.objects.real_of(handle) == 0) suspect(handle);
  std::erase_if(unreadable_, [&](const auto& entry) { return !listed.contains(entry.first); });
  std::erase_if(half_made_, [&](const auto& entry) { return !listed.contains(entry.first); });
  if (!half_made_.empty()) return;
  for (const std::uint64_t handle : known.handles) {
    const TokenObject* object = pool_.objects.find(handle);
    if (object == nullptr || other_place().objects.real_of(handle) == 0) continue;  // gone since
    if (shows(pool_, place_, *object)) only_there_.erase(handle);
    else if (!only_there_.contains(handle)) suspect(handle);
  }
}

void Survey::judge_suspects() {
  Membership& membership = pool_.of(place_);
  const Place& other = other_place();
  bool renews = false;
  std::erase_if(suspects_, [&](const auto& suspect) {
    const std::uint64_t handle = suspect.first;
    const std::uint64_t noticed_ms = suspect.second;
    const TokenObject* object = pool_.objects.find(handle);
    if (object == nullptr || shows(pool_, place_, *object)) return true;
    const bool looked_again =
        last_ms_ > noticed_ms && looked_twice_since(0) && !pool_.debts.is_locked(object->identity);
    if (!looked_again) return incomplete_ = true, false;
    if (place_.worker.started_ms() <= noticed_ms && can_renew()) return renews = true, false;
    if (other.objects.real_of(handle) == 0) return pool_.objects.unseen(handle, membership.number), true;
    only_there_.insert(handle);
    membership.survey_of(other).doubt(pool_.runtime().now_ms());
    return true;
  });
  if (renews) {
    incomplete_ = true;
    renew("it does not show objects that nobody has destroyed");
  }
  if (!incomplete_ && looked_twice_since(0)) {
    if (unreadable_.empty()) settled_ = stamp();
    forget_unshown();
  }
}

// What the member showed when another process was running, and neither of its workers shows now.
void Survey::forget_unshown() {
  Membership& membership = pool_.of(place_);
  const Place& other = other_place();
  const bool sees_private = &place_ != &membership.member.public_place();
  std::vector<std::uint64_t> unshown;
  pool_.objects.for_each([&](const TokenObject& object) {
    if ((object.members & membership.bit()) == 0 || shows(pool_, place_, object) || shows(pool_, other, object)) return;
    if (object.is_private ? sees_private : membership.survey_of(other).current()) unshown.push_back(object.handle);
  });
  for (const std::uint64_t handle : unshown) pool_.objects.unseen(handle, membership.number);
}

void Survey::finished() {
  running_ = false;
  pool_.changed.resume_all();
}

std::shared_ptr<Survey::Round> Survey::begin_round(Done done) {
  auto round = std::make_shared<Round>();
  round->stamp = stamp();
  round->done = std::move(done);
  if (notes_of_ != round->stamp) {
    publics_.clear();
    half_made_.clear();
    unreadable_.clear();
    trouble_.clear();
    doubtful_.clear();
  }
  notes_of_ = round->stamp;
  return round;
}

void Survey::take(const Reply& reply, std::uint64_t whole_below, Done done) {
  take(reply, whole_below, begin_round(std::move(done)));
}

void Survey::take(const Reply& reply, std::uint64_t whole_below, const std::shared_ptr<Round>& round,
                  const Expected* known) {
  round->reals.assign(reply.handles.begin(), reply.handles.end());
  round->listed.insert(round->reals.begin(), round->reals.end());
  if (known != nullptr) unbind_unlisted(*known, *round);
  round->whole_below = whole_below;
  absorb(reply.annex, *round);
  std::unordered_set<std::uint64_t> waiting;
  for (const UnprovenKey& key : round->unproven) waiting.insert(key.plain.object);
  for (const std::uint64_t real : round->reals) {
    if (!waiting.contains(real) && place_.objects.handle_of(real) == 0 &&
        place_.objects.session_object(real) == nullptr)
      round->unknown.push_back(real);
  }
  describe_unknown(round);
}

void Survey::take_described(std::span<const std::uint8_t> annex, Done done) {
  take_one_by_one(annex, begin_round(std::move(done)));
}

void Survey::take_created(std::span<const std::uint8_t> annex, Done done) {
  const auto round = begin_round(std::move(done));
  round->created = true;
  take_one_by_one(annex, round);
}

void Survey::take_one_by_one(std::span<const std::uint8_t> annex, const std::shared_ptr<Round>& round) {
  In in(annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description))
    if (description.readable) round->listed.insert(description.object);
  absorb(annex, *round);
  prove_next(round);
}

// What is seen while something is made on the member may be half made, and look like another object. Whoever makes it makes it
// known; if nobody does it is looked at again when all creations are over that were under way.
bool Survey::is_whole(std::uint64_t real, const Round& round) {
  if (round.whole_below == UINT64_MAX || place_.objects.handle_of(real) != 0) return true;
  const auto [entry, is_new] = half_made_.try_emplace(real, pool_.of(place_).creations.next());
  if (entry->second > round.whole_below) return false;
  half_made_.erase(entry);
  return true;
}

void Survey::absorb(std::span<const std::uint8_t> annex, Round& round) {
  In in(annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description)) {
    if (description.readable) unreadable_.erase(description.object), std::erase(round.unreadable, description.object);
    else round.unreadable.push_back(description.object);
    if (!description.readable || !description.is_token || !is_whole(description.object, round)) continue;
    note_public(description);
    const bool check = !description.proof && !pool_.config.balance.clones && may_be_proven(description);
    if (check) round.unproven.emplace_back(description);
    else if (!pool_.bind(place_, description, {round.created, &round.listed})) incomplete_ = true;
  }
}

// Described once already, in a reply that was still on its way, or forgotten since.
void Survey::describe_unknown(const std::shared_ptr<Round>& round) {
  if (round->unknown.empty()) return prove_next(round);
  Errand::describe_some(
      place_, std::exchange(round->unknown, {}),
      [this, round, alive = std::weak_ptr<char>(alive_)](Reply* reply, std::vector<std::uint64_t> left) {
        if (alive.expired()) return;
        if (reply == nullptr) {
          incomplete_ = true;
          return prove_next(round);
        }
        round->unknown = std::move(left);
        if (round->stamp == stamp()) absorb(reply->annex, *round);
        describe_unknown(round);
      });
}

}  // namespace p11shim
