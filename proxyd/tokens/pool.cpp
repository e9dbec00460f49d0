#include "proxyd/tokens/pool.h"

#include <openssl/evp.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "proxyd/tokens/session_state.h"
#include "wire/hex.h"

namespace p11shim {
namespace {

constexpr std::size_t kSerialSize = 16;
constexpr std::chrono::milliseconds kUsualLook{300};  // at a token of which nothing makes believe that it has changed

// The same for this name for ever, whatever its members are.
std::string serial_from(const std::string& name) {
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  EVP_Digest(name.data(), name.size(), digest, nullptr, EVP_sha256(), nullptr);
  return hex_digits(std::span(digest).first(kSerialSize / 2));
}

// The strictest, or the widest. Who states no largest size says nothing of sizes.
void combine_sizes(CK_MECHANISM_INFO& mine, const CK_MECHANISM_INFO& its, bool strictest) {
  if (its.ulMaxKeySize == 0) return;
  const bool says_nothing = mine.ulMaxKeySize == 0;
  const auto [lower, higher] = std::minmax(mine.ulMinKeySize, its.ulMinKeySize);
  const auto [smaller, larger] = std::minmax(mine.ulMaxKeySize, its.ulMaxKeySize);
  mine.ulMinKeySize = says_nothing ? its.ulMinKeySize : strictest ? higher : lower;
  mine.ulMaxKeySize = says_nothing ? its.ulMaxKeySize : strictest ? smaller : larger;
}

void take_counts(CK_TOKEN_INFO& info, const CK_TOKEN_INFO& fresh) {
  info.ulTotalPublicMemory = fresh.ulTotalPublicMemory;
  info.ulFreePublicMemory = fresh.ulFreePublicMemory;
  info.ulTotalPrivateMemory = fresh.ulTotalPrivateMemory;
  info.ulFreePrivateMemory = fresh.ulFreePrivateMemory;
  std::copy(std::begin(fresh.utcTime), std::end(fresh.utcTime), info.utcTime);
}

}  // namespace

Pool::Pool(Runtime& runtime, PoolConfig pool_config, CK_SLOT_ID virtual_slot, const std::vector<Member*>& its_members,
           StateDirectory& state)
    : config(std::move(pool_config)),
      slot(virtual_slot),
      member(*its_members.front()),
      objects(config.name, state),
      placement(config.balance.strategy, runtime.random),
      budget(config.balance.retry_budget),
      login(*this, state),
      nonce_makers(state),
      debts(*this, state.journal()),
      runtime_(runtime),
      state_(state) {
  for (Member* each : its_members) enroll(*each);
  if (!config.looks_like.empty())
    if (const auto face = state.face(config.name, config.looks_like)) put_on(*face);
  if (!balanced()) return;
  if (config.looks_like.empty()) {
    if (config.serial.empty()) config.serial = serial_from(config.name);
    if (config.manufacturer.empty()) config.manufacturer = "proxyd";
    if (config.model.empty()) config.model = "pool";
  }
  restore_wishes();
  for (const auto& each : members) login.restore_quarantine(*each);
}

Membership* Pool::membership_of(const Place& place) const {
  for (const auto* list : {&members, &retired_})
    for (const auto& each : *list)
      if (&each->member == place.member) return each.get();
  return nullptr;
}

Membership& Pool::of(const Place& place) {
  Membership* found = membership_of(place);
  return found != nullptr ? *found : *members.front();
}

std::size_t Pool::number_of_member(const Place& place) const {
  const Membership* found = membership_of(place);
  return found != nullptr ? found->number : 0;
}

Place* Pool::place_of(Membership& membership, bool logged_in) const {
  if (membership.health.wanted == Wanted::maint || (logged_in && !membership.logged_in) || !membership.distrust.empty())
    return nullptr;
  Place& place = logged_in ? membership.member.user().place() : membership.member.public_place();
  const Survey& survey = membership.survey_of(place);
  return survey.current() ? &place : nullptr;
}

bool Pool::settling(bool logged_in) const {
  return std::any_of(members.begin(), members.end(), [&](const auto& each) {
    if (is_away(*each)) return false;
    Worker& worker = logged_in ? each->member.user().worker() : each->member.backend().worker();
    if (worker.rests() || (logged_in && !each->logged_in && each->joins_in_vain())) return false;
    return each->joining || place_of(*each, logged_in) == nullptr;
  });
}

bool Pool::is_away(const Membership& membership) {
  return membership.health.wanted == Wanted::maint || membership.health.breaker.state() == Breaker::State::open ||
         !membership.quarantine.empty() || !membership.distrust.empty();
}

void Pool::renew_worker(Place& place, CK_RV rv) {
  if (rv == CKR_USER_NOT_LOGGED_IN) {
    if (&place != &place.member->user().place()) return;  // nobody said that it was
    const auto told = [&place, generation = place.worker.generation(), alive = alive()](bool is_logged_in) {
      if (alive.expired() || is_logged_in || generation != place.worker.generation()) return;
      if (place.worker.state() == Worker::State::ready) place.worker.renew("its module says that it is logged out");
    };
    return ask_whether_logged_in(place, told);
  }
  if (place.worker.state() == Worker::State::ready)
    place.worker.stop("its module answered " + display(NameKind::ckr, rv));
}

void Pool::ask_mechanisms(Membership& membership) {
  Worker& worker = membership.member.backend().worker();
  membership.capabilities.ask(worker, membership.member.slot_in(worker), [this, &membership] {
    state_.remember_mechanisms(config.name, membership.member.name(), membership.capabilities.stored().bytes());
    changed.resume_all();
  });
}

Capabilities::Mechanisms Pool::mechanisms() const {
  Capabilities::Mechanisms all;
  bool first = true;
  for (const auto& each : members) {
    if (!each->capabilities.known()) continue;
    const auto& theirs = each->capabilities.mechanisms();
    const bool everybody = config.balance.mechanisms == Mechanisms::intersection;
    if (everybody && !first) std::erase_if(all, [&](const auto& entry) { return !theirs.contains(entry.first); });
    for (const auto& [type, info] : theirs) {
      const auto known = all.find(type);
      if (known == all.end()) {
        if (first || !everybody) all.emplace(type, info);
        continue;
      }
      CK_MECHANISM_INFO& mine = known->second;
      combine_sizes(mine, info, everybody);
      mine.flags = everybody ? mine.flags & info.flags : mine.flags | info.flags;
    }
    first = false;
  }
  // What one takes and the other does not leaves nothing that all take.
  std::erase_if(all, [this](const auto& entry) {
    return config.balance.mechanisms == Mechanisms::intersection && entry.second.ulMaxKeySize != 0 &&
           entry.second.ulMinKeySize > entry.second.ulMaxKeySize;
  });
  return all;
}

std::chrono::milliseconds Pool::look_at_tokens() {
  std::chrono::milliseconds patience{0};
  if (initialising) return patience;
  for (const auto& each : members) {
    Worker& worker = each->member.backend().worker();
    const bool can_tell = worker.state() == Worker::State::ready && each->health.wanted != Wanted::maint &&
                          each->health.breaker.state() != Breaker::State::open;
    if (!can_tell || each->member.entry() == nullptr || each->token.is_fresh(worker, runtime_.now_ms())) continue;
    patience = std::max(patience, each->token.doubted() ? config.balance.attempt_timeout : kUsualLook);
    each->token.ask(each->member, [this] { changed.resume_all(); });
  }
  return patience;
}

// What all have in common. What is counted, and the time, comes from the first that has just told it, the rest from the first.
bool Pool::token_info(CK_TOKEN_INFO& info) const {
  bool seen = false, counted = false;
  // The security officer logs in on all members or on none, a user where the PIN is not locked.
  constexpr CK_FLAGS kAny = CKF_LOGIN_REQUIRED | CKF_WRITE_PROTECTED | CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY |
                            CKF_USER_PIN_TO_BE_CHANGED | CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY |
                            CKF_SO_PIN_LOCKED | CKF_SO_PIN_TO_BE_CHANGED;
  for (const auto& each : members) {
    const SlotEntry* entry = each->member.entry();
    if (entry == nullptr || entry->token_rv != CKR_OK) continue;
    const bool counts = !counted && each->token.is_fresh(each->member.backend().worker(), runtime_.now_ms());
    if (counts && seen) take_counts(info, entry->token);
    counted |= counts;
    if (!std::exchange(seen, true)) {
      info = entry->token;
      continue;
    }
    info.flags = (info.flags & entry->token.flags & ~kAny) | ((info.flags | entry->token.flags) & kAny);
    info.ulMaxPinLen = std::min(info.ulMaxPinLen, entry->token.ulMaxPinLen);
    info.ulMinPinLen = std::max(info.ulMinPinLen, entry->token.ulMinPinLen);
  }
  return seen;
}

bool Pool::knows_its_face() {
  if (config.looks_like.empty() || face_) return true;
  for (const auto& each : members) {
    const SlotEntry* entry = each->member.name() == config.looks_like ? each->member.entry() : nullptr;
    if (entry == nullptr || entry->token_rv != CKR_OK) continue;
    const CK_TOKEN_INFO& token = entry->token;
    const StateDirectory::Face face{config.name,
                                    config.looks_like,
                                    unpadded(token.label),
                                    unpadded(token.serialNumber),
                                    unpadded(token.manufacturerID),
                                    unpadded(token.model),
                                    unpadded(entry->info.slotDescription),
                                    unpadded(entry->info.manufacturerID)};
    put_on(face);
    state_.remember(face);
    return true;
  }
  return false;
}

void Pool::put_on(const StateDirectory::Face& face) {
  face_ = face;
  for (const auto& [mine, its] :
       {std::pair{&config.label, &face.label}, std::pair{&config.serial, &face.serial},
        std::pair{&config.manufacturer, &face.manufacturer}, std::pair{&config.model, &face.model}})
    if (mine->empty()) *mine = *its;
}

bool Pool::slot_info(CK_SLOT_INFO& info) const {
  for (const auto& each : members) {
    const SlotEntry* entry = each->member.entry();
    if (entry == nullptr) continue;
    info = entry->info;
    info.flags |= CKF_TOKEN_PRESENT;
    put_padded(info.slotDescription, face_ ? face_->slot_description : "pool " + config.name);
    if (face_) put_padded(info.manufacturerID, face_->slot_manufacturer);
    return true;
  }
  return false;
}

}  // namespace p11shim
