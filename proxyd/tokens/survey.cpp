#include "proxyd/tokens/survey.h"

#include <algorithm>
#include <unordered_set>

#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/key_proof.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {
constexpr std::uint64_t kLookAgainMs = 1000;
constexpr int kRepeats = 5;  // of checks of what was just made
constexpr std::size_t kDescribedAtOnce = limits::kMaxRequestHandles - 1;
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

void Survey::resume() {
  if (place_.worker.state() == Worker::State::backoff) return finished();
  if (!place_.worker.require(*this)) return;
  begun_ms_ = place_.worker.runtime().now_ms();
  incomplete_ = false;
  Buffer everything;
  Out(everything).array(0);
  Errand::find(place_, std::move(everything),
               [this, alive = std::weak_ptr<char>(alive_), generation = place_.worker.generation(),
                known = place_.objects.reals()](Reply* reply) {
                 if (alive.expired()) return;
                 if (reply == nullptr || reply->rv != CKR_OK || generation != place_.worker.generation()) {
                   incomplete_ = true;
                   return finished();
                 }
                 take(*reply, [this, generation, known](const std::vector<std::uint64_t>& reals) {
                   if (generation == place_.worker.generation()) {
                     listed_ = generation;
                     forget_missing(known, reals);
                   }
                   finished();
                 });
               });
}

// What was known before the listing and is not in it was destroyed by others than proxyd.
void Survey::forget_missing(const std::vector<std::uint64_t>& known, const std::vector<std::uint64_t>& reals) {
  const std::unordered_set<std::uint64_t> listed(reals.begin(), reals.end());
  const std::uint32_t number = pool_.of(place_).number;
  for (const std::uint64_t real : known) {
    if (listed.contains(real)) continue;
    const std::uint64_t handle = place_.objects.handle_of(real);
    if (handle == 0) continue;
    place_.objects.unbind_handle(handle);
    pool_.objects.unseen(handle, number);
  }
}

void Survey::finished() {
  running_ = false;
  pool_.changed.resume_all();
}

void Survey::take(const Reply& reply, Done done) {
  auto round = std::make_shared<Round>();
  round->generation = place_.worker.generation();
  round->reals.assign(reply.handles.begin(), reply.handles.end());
  round->done = std::move(done);
  absorb(reply.annex, *round);
  for (const std::uint64_t real : round->reals) {
    const bool waits = std::any_of(round->unproven.begin(), round->unproven.end(),
                                   [&](const UnprovenKey& key) { return key.plain.object == real; });
    if (!waits && place_.objects.handle_of(real) == 0 && place_.objects.session_object(real) == nullptr)
      round->unknown.push_back(real);
  }
  describe_unknown(round);
}

void Survey::take_described(std::span<const std::uint8_t> annex, Done done) {
  auto round = std::make_shared<Round>();
  round->generation = place_.worker.generation();
  round->done = std::move(done);
  absorb(annex, *round);
  prove_next(round);
}

void Survey::take_created(std::span<const std::uint8_t> annex, Done done) {
  auto round = std::make_shared<Round>();
  round->generation = place_.worker.generation();
  round->created = true;
  round->done = std::move(done);
  absorb(annex, *round);
  prove_next(round);
}

void Survey::absorb(std::span<const std::uint8_t> annex, Round& round) {
  if (publics_of_ != round.generation) publics_.clear();
  publics_of_ = round.generation;
  In in(annex);
  Description description;
  while (in.remaining() != 0 && read_description(in, description)) {
    if (!description.readable || !description.is_token) continue;
    note_public(description);
    const bool check = !description.proof && !pool_.config.balance.clones && may_be_proven(description);
    if (check) round.unproven.emplace_back(description);
    else pool_.bind(place_, description, round.created);
  }
}

void Survey::note_public(const Description& description) {
  if (description.object_class != CKO_PUBLIC_KEY) return;
  auto key = PublicKey::read(description.content);
  if (!key) return;
  auto& known = publics_[ByteString(description.id.begin(), description.id.end())];
  const bool is_new = std::none_of(known.begin(), known.end(),
                                   [&](const PublicKey& each) { return each.normal_form() == key->normal_form(); });
  if (is_new) known.push_back(std::move(*key));
}

// Described once already, in a reply that was still on its way, or forgotten since.
void Survey::describe_unknown(const std::shared_ptr<Round>& round) {
  if (round->unknown.empty()) return prove_next(round);
  const std::size_t count = std::min(round->unknown.size(), kDescribedAtOnce);
  std::vector<std::uint64_t> some(round->unknown.end() - static_cast<std::ptrdiff_t>(count), round->unknown.end());
  round->unknown.resize(round->unknown.size() - count);
  Errand::describe(place_, std::move(some), [this, round, alive = std::weak_ptr<char>(alive_)](Reply* reply) {
    if (alive.expired()) return;
    if (reply != nullptr && round->generation == place_.worker.generation()) absorb(reply->annex, *round);
    describe_unknown(round);
  });
}

void Survey::prove_next(const std::shared_ptr<Round>& round) {
  if (round->generation != place_.worker.generation()) return round->done({});
  std::vector<PublicKey> publics;
  for (; round->next != round->unproven.size(); ++round->next) {
    const UnprovenKey& key = round->unproven[round->next];
    const auto found = publics_.find(key.id);
    if (found != publics_.end()) publics = found->second;
    if (key.plain.object_class == CKO_SECRET_KEY || !publics.empty()) break;
    pool_.bind_checked(place_, key, nullptr, round->created);  // nothing to check it with
  }
  if (round->next == round->unproven.size()) return round->done(round->reals);
  KeyProof::run(place_, round->unproven[round->next], std::move(publics), pool_.handle_key(),
                [this, round, alive = std::weak_ptr<char>(alive_)](KeyProof::Outcome outcome, const ByteString& proof) {
                  if (alive.expired()) return;
                  const bool undecided = outcome == KeyProof::Outcome::undecided;
                  // Whoever made it waits for its handle, and must be given the right one.
                  if (undecided && round->created && round->generation == place_.worker.generation() &&
                      round->repeats++ < kRepeats)
                    return prove_next(round);
                  const UnprovenKey& asked = round->unproven[round->next++];
                  if (round->generation == place_.worker.generation() && !undecided)
                    pool_.bind_checked(place_, asked, outcome == KeyProof::Outcome::proven ? &proof : nullptr,
                                       round->created);
                  incomplete_ |= undecided;
                  prove_next(round);
                });
}

}  // namespace p11shim
