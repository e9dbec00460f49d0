// How a pool knows its objects: what a member describes is made known, merged where that is proven.
#include <algorithm>

#include "proxyd/balance/faults.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {
namespace {

// The content by which a pool of several compares: the same for equal keys, whichever attributes the modules show.
Description normalised(const Description& description, ByteString& memory) {
  Description normal = description;
  if (!description.proof || !description.has_key_type) return normal;
  if (const auto key = PublicKey::read(description.content)) {
    memory = key->normal_form();
    normal.content = memory;
  }
  return normal;
}

// The first check that proves a secret key says which ones it can be compared by.
void note_check(TokenObject* object, const ByteString* proof) {
  if (proof != nullptr && object != nullptr && object->check == 0 && object->object_class == CKO_SECRET_KEY)
    object->check = proof->front();
}

}  // namespace

// The first member's objects without proof are what they are in a pool of that member alone.
Origin Pool::origin(const Place& place, std::string& memory) const {
  const std::size_t number = number_of_member(place);
  memory = place.member->serial();
  if (number != 0) memory += "\n" + place.member->name();
  return {memory, static_cast<std::uint32_t>(number), balanced()};
}

// The handle of each that it could be belongs to another real handle there, of which nobody has seen that it is still good.
bool Pool::may_be_known(const Place& place, std::uint64_t real, const Identity& identity, const Sight& sight) {
  bool in_doubt = false;
  for (const std::uint64_t handle : objects.handles_of(identity)) {
    const std::uint64_t other = place.objects.real_of(handle);
    if (other == 0 && objects.find(handle)->fleeting) continue;  // of another process
    if (other == 0 || other == real) return false;
    in_doubt |= sight.listed == nullptr || !sight.listed->contains(other);
  }
  return in_doubt;
}

// In this process it stays what it was known as.
bool Pool::is_known_as_it_looks(const Place& place, const Description& seen, const Origin& from) {
  const TokenObject* object = objects.find(place.objects.handle_of(seen.object));
  return !seen.proof && object != nullptr && !object->by_content &&
         object->has_features(ObjectDirectory::features_of(seen), from.member);
}

bool Pool::bind(Place& place, const Description& description, const Sight& sight) {
  const auto taken = [&](const TokenObject& object) {
    const std::uint64_t other = place.objects.real_of(object.handle);
    return other != 0 && other != description.object;
  };
  std::string memory;
  Origin from = origin(place, memory);
  ByteString content;
  const Description seen = balanced() ? compared(description, content) : description;
  if (balanced()) {
    const Identity first_seen = objects.identity_from(seen, from);
    std::optional<Identity> copied_as;
    if (const Identity* origin = debts.journal().origin(first_seen)) copied_as = *origin;
    from.known_as = seen.proof ? debts.journal().origin(first_seen) : copy_of(first_seen, sight.created);
    const Identity identity = from.known_as != nullptr ? *from.known_as : first_seen;
    if (copied_as && *copied_as == first_seen && is_known_as_it_looks(place, seen, from)) return true;
    if (!sight.created && may_be_known(place, seen.object, identity, sight)) return false;
    if (debts.keeps_back(place, seen, identity, sight.created)) return true;
    if (!seen.proof && bind_look_alike(place, seen, from, copied_as, sight)) return true;
  }
  const TokenObject& object = objects.identify(seen, from, taken);
  const std::uint64_t before = place.objects.handle_of(description.object);
  if (balanced() && before != 0 && before != object.handle) {  // it was taken for another one
    place.objects.unbind_handle(before);
    objects.unseen(before, from.member);
  }
  place.objects.bind(description.object, object.handle);
  return true;
}

bool Pool::is_shown(const Membership& membership, std::uint64_t handle) const {
  return std::ranges::any_of(membership.member.places(),
                             [&](const Place* place) { return place->objects.real_of(handle) != 0; });
}

std::size_t Pool::twins_on(const Identity& identity, const Place* place) {
  const auto handles = objects.handles_of(identity);
  return static_cast<std::size_t>(std::ranges::count_if(handles, [&](std::uint64_t handle) {
    return !objects.find(handle)->fleeting || (place != nullptr && place->objects.real_of(handle) != 0);
  }));
}

// Objects that nothing proves and that look the same there keep the handles that they have in this process. In a new one, which
// shows them for the first time, nobody can say which is which: whatever handles they had mean none of them.
bool Pool::bind_look_alike(Place& place, const Description& seen, const Origin& from,
                           const std::optional<Identity>& copied_as, const Sight& sight) {
  Origin plain = from;
  plain.known_as = nullptr;
  const Identity first_seen = objects.identity_from(seen, plain);
  std::vector<std::uint64_t> handles = objects.handles_of(first_seen);
  if (copied_as && *copied_as != first_seen)
    for (const std::uint64_t handle : objects.handles_of(*copied_as)) handles.push_back(handle);
  const Identity features = ObjectDirectory::features_of(seen);
  std::vector<std::uint64_t> alike;
  for (const std::uint64_t handle : handles) {
    const std::uint64_t other = place.objects.real_of(handle);
    if (other != 0 && other != seen.object && objects.find(handle)->has_features(features, from.member))
      alike.push_back(handle);
  }
  if (alike.empty()) return false;
  if (place.objects.handle_of(seen.object) != 0) return true;
  Membership& membership = of(place);
  const Survey& survey = membership.survey_of(place);
  const bool is_new = &place == &place.member->so().place() ? !sight.created
                      : sight.created                       ? !survey.current()
                                                            : !survey.has_settled();
  for (const std::uint64_t handle : alike) {
    TokenObject& object = *objects.find(handle);
    if (object.fleeting) continue;
    if (is_new) {
      const std::uint64_t other = place.objects.real_of(handle);
      place.objects.unbind_handle(handle);
      place.objects.bind(other, objects.add_fleeting(TokenObject(object), first_seen, from.member).handle);
      if (!is_shown(membership, handle)) objects.unseen(handle, from.member);
      objects.retire(first_seen);
    } else if (object.members == membership.bit()) {
      objects.make_fleeting(object);
    }
  }
  place.objects.bind(seen.object, objects.add_fleeting(seen, plain).handle);
  return true;
}

// What proxyd has copied there, as it knows by its own records. What is made there now is no copy of what looked like it: the
// record is replaced by one that says so.
const Identity* Pool::copy_of(const Identity& first_seen, bool created) {
  const Identity* identity = debts.journal().origin(first_seen);
  if (identity == nullptr || *identity == first_seen) return nullptr;
  if (!created) return identity;
  JournalChange change;
  change.origins.emplace_back(first_seen, first_seen);
  debts.write_down(std::move(change));
  return nullptr;
}

// What this pool compares of it.
Description Pool::compared(const Description& description, ByteString& memory) const {
  Description seen = normalised(description, memory);
  const bool stateful = seen.counted || (seen.has_key_type && is_stateful_key(seen.key_type));
  if (stateful) seen.proof = false;
  if (config.balance.clones && !seen.proof && !stateful) {  // the operator's word
    static constexpr std::uint8_t kClone[] = "clone";
    seen.proof = true;
    memory.assign(std::begin(kClone), std::end(kClone));
    memory.insert(memory.end(), seen.id.begin(), seen.id.end());
    memory.push_back(static_cast<std::uint8_t>(seen.key_type));
    memory.insert(memory.end(), seen.label.begin(), seen.label.end());
    seen.content = memory;
  }
  return seen;
}

bool Pool::bind_checked(Place& place, const UnprovenKey& key, const ByteString* proof, const Sight& sight) {
  const Description description = key.described(proof);
  const std::uint64_t handle = place.objects.handle_of(description.object);
  TokenObject* known = handle != 0 ? objects.find(handle) : nullptr;
  const auto bind_it = [&] {
    const bool is_bound = bind(place, description, sight);
    note_check(objects.find(place.objects.handle_of(description.object)), proof);
    return is_bound;
  };
  if (known == nullptr) return bind_it();
  if (proof == nullptr) return true;
  std::string memory;
  const Origin from = origin(place, memory);
  const Identity* made_as = debts.journal().origin(objects.identity_from(description, from));
  if (made_as != nullptr && *made_as == known->identity) return true;
  if (objects.adopt_proof(*known, description, from)) {
    note_check(known, proof);
    return true;
  }
  place.objects.unbind_handle(handle);  // it was taken for another one
  if (!is_shown(of(place), handle)) objects.unseen(handle, from.member);
  return bind_it();
}

std::optional<Identity> Pool::proven_identity(const Description& description) const {
  ByteString content;
  const Description seen = compared(description, content);
  if (!seen.proof) return std::nullopt;
  const Identity identity = objects.identity_from(seen, {});
  const Identity* made_as = debts.journal().origin(identity);
  return made_as != nullptr ? *made_as : identity;
}

std::optional<Identity> Pool::unproven_identity(const Place& place, const Description& description) const {
  std::string memory;
  ByteString content;
  const Description seen = compared(description, content);
  if (seen.proof) return std::nullopt;
  return objects.identity_from(seen, origin(place, memory));
}

bool Pool::has_another(const Place& place, const Identity& first_seen, std::uint64_t real) const {
  return std::ranges::any_of(objects.handles_of(first_seen), [&](std::uint64_t handle) {
    const std::uint64_t other = place.objects.real_of(handle);
    return other != 0 && other != real;
  });
}

bool Pool::has_look_alike(const Place& place, const Description& description) const {
  const auto first_seen = unproven_identity(place, description);
  return first_seen && has_another(place, *first_seen, description.object);
}

void Pool::note_origin(Place& place, const Description& description, const Identity& identity) {
  const auto first_seen = unproven_identity(place, description);
  if (!first_seen) return;
  const Identity* known = debts.journal().origin(*first_seen);
  if ((known != nullptr && *known == identity) || has_another(place, *first_seen, description.object)) return;
  JournalChange change;
  change.origins.emplace_back(*first_seen, identity);
  debts.write_down(std::move(change));
}

// Keys that are proven are so by what cannot change; all others are known by what they look like.
void Pool::note_changed(Place& place, TokenObject& object, const Description& now) {
  const bool is_key = object.object_class == CKO_PUBLIC_KEY || object.object_class == CKO_PRIVATE_KEY ||
                      object.object_class == CKO_SECRET_KEY;
  ByteString content;
  std::string memory;
  const Description seen = compared(now, content);
  if (object.proven && is_key && !config.balance.clones) objects.renamed(object, seen);
  else objects.changed(object, seen, origin(place, memory).serial);
}

void Pool::note_destroyed(std::uint64_t handle) {
  for (const auto& each : members)
    for (Place* place : each->member.places()) place->objects.unbind_handle(handle);
  objects.destroyed(handle);
}

}  // namespace p11shim
