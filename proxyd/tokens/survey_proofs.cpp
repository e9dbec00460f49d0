// How a survey finds out what keys are that do not show it.
#include <algorithm>

#include "proxyd/tokens/errand.h"
#include "proxyd/tokens/key_proof.h"
#include "proxyd/tokens/pool.h"
#include "proxyd/tokens/survey.h"

namespace p11shim {
namespace {
constexpr int kCheckRepeats = 5;    // of checks of what was just made
constexpr int kMostUnreadable = 3;  // listings that show an object which cannot be read
// What a key that is listed adds to its trouble when it is then not there, is refused, or the member failed; and how much is
// enough to ask another process, and then to serve it as what nothing proves.
constexpr int kMissed = 10, kRefused = 6, kFailed = 1, kMostTrouble = 30;
constexpr std::uint64_t kCheckAgainMs = 5000;
}  // namespace

// What is known at once, of a key that cannot be checked or while no session can be had, takes no stack, however many they are.
void Survey::prove_next(const std::shared_ptr<Round>& round) {
  round->goes_on = true;
  if (std::exchange(round->proving, true)) return;
  while (std::exchange(round->goes_on, false)) prove_one(round);
  round->proving = false;
}

void Survey::prove_one(const std::shared_ptr<Round>& round) {
  if (round->stamp != stamp()) return round->done({});
  std::vector<PublicKey> publics;
  for (; round->next != round->unproven.size(); ++round->next) {
    const UnprovenKey& key = round->unproven[round->next];
    if (key.plain.object_class == CKO_PRIVATE_KEY) publics = publics_for(key.id);
    if (key.plain.object_class == CKO_SECRET_KEY || key.plain.key_type == CKK_EC || !publics.empty()) break;
    doubtful_.insert(key.plain.object);  // nothing to check it with, now
    incomplete_ |= !pool_.bind_checked(place_, key, nullptr, {round->created, &round->listed});
  }
  if (round->next == round->unproven.size()) {
    // What could not be read is gone, or is there and could not be read just now.
    if (round->lists_all)
      for (const std::uint64_t real : round->unreadable) incomplete_ |= unreadable_[real]++ < kMostUnreadable;
    return round->done(round->reals);
  }
  KeyProof::run(place_, round->unproven[round->next], std::move(publics), pool_.handle_key(),
                [this, round, alive = std::weak_ptr<char>(alive_)](CheckOutcome outcome, const ByteString& proof) {
                  if (alive.expired()) return;
                  const bool is_same = round->stamp == stamp();
                  const UnprovenKey& asked = round->unproven[round->next];
                  const bool is_verdict = outcome == CheckOutcome::proven || outcome == CheckOutcome::unproven;
                  const std::uint64_t real = asked.plain.object;
                  // Whoever made it waits for its handle, and must be given the right one.
                  if (!is_verdict && round->created && is_same && round->repeats++ < kCheckRepeats)
                    return prove_next(round);
                  ++round->next;
                  const bool is_decided = is_same && (is_verdict || (!round->created && gives_up_on(real, outcome)));
                  if (is_same && is_verdict) {
                    trouble_.erase(real);
                    const bool may_change = outcome == CheckOutcome::unproven &&
                                            asked.plain.object_class == CKO_PRIVATE_KEY &&
                                            publics_for(asked.id).empty();
                    if (may_change) doubtful_.insert(real);
                    else doubtful_.erase(real);
                  }
                  const ByteString* its_proof = outcome == CheckOutcome::proven ? &proof : nullptr;
                  if (is_decided)
                    incomplete_ |= !pool_.bind_checked(place_, asked, its_proof, {round->created, &round->listed});
                  else incomplete_ |= !is_same || place_.objects.handle_of(real) == 0;
                  prove_next(round);
                });
}

// A key that cannot be checked keeps nobody waiting for ever: it is served as what nothing proves, until it can be.
bool Survey::gives_up_on(std::uint64_t real, CheckOutcome outcome) {
  int& trouble = trouble_[real];
  if (outcome == CheckOutcome::missing) trouble += kMissed;
  else trouble += outcome == CheckOutcome::refused ? kRefused : kFailed;
  trouble = std::min(trouble, kMostTrouble);
  if (trouble < kMostTrouble || (!renewed_in_trouble_ && can_renew())) return false;
  doubtful_.insert(real);
  return true;
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

// A signature that one verifies is proof enough.
std::vector<PublicKey> Survey::publics_for(const ByteString& id) const {
  std::vector<PublicKey> all;
  for (const auto& each : pool_.members)
    for (const Survey* survey : {&each->public_objects, &each->user_objects})
      if (const auto found = survey->publics_.find(id); found != survey->publics_.end())
        for (const PublicKey& key : found->second)
          if (std::ranges::find(all, key.normal_form(), &PublicKey::normal_form) == all.end()) all.push_back(key);
  return all;
}

// Another process may know better. What is served unproven meanwhile is asked for again, or when its public key is there.
void Survey::check_doubtful() {
  const auto is_hopeless = [](const auto& entry) { return entry.second >= kMostTrouble; };
  if (!renewed_in_trouble_ && std::ranges::any_of(trouble_, is_hopeless) && can_renew()) {
    incomplete_ = true;
    renewed_in_trouble_ = renew("it shows keys that it cannot use");
    return;
  }
  const std::uint64_t now = pool_.runtime().now_ms();
  if (doubtful_.empty() || running_ || now - checked_ms_ < kCheckAgainMs) return;
  checked_ms_ = now;
  std::vector<std::uint64_t> reals;
  std::erase_if(doubtful_, [&](std::uint64_t real) {
    const TokenObject* object = pool_.objects.find(place_.objects.handle_of(real));
    if (object == nullptr) return true;
    const bool may_be_checked = object->object_class != CKO_PRIVATE_KEY || !publics_for(object->id).empty();
    if (may_be_checked && reals.size() < Errand::kMostDescribed) reals.push_back(real);
    return false;
  });
  if (reals.empty()) return;
  Errand::describe(place_, reals, [this, begun = stamp(), alive = std::weak_ptr<char>(alive_)](Reply* reply) {
    if (alive.expired() || reply == nullptr || begun != stamp()) return;
    take_described(reply->annex, [this](const auto&) { pool_.changed.resume_all(); });
  });
}

bool Survey::may_show(const Debt& debt) const {
  return std::ranges::any_of(doubtful_, [&](std::uint64_t real) {
    const TokenObject* object = pool_.objects.find(place_.objects.handle_of(real));
    return object != nullptr && !object->proven && object->object_class == debt.object_class &&
           object->label == debt.label && object->id == debt.id && object->identity != debt.identity;
  });
}

}  // namespace p11shim
