#include "proxyd/objects/object_directory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "proxyd/balance/faults.h"

namespace p11shim {
namespace {

// SHA-256 over values, each with its length in front, so that no two lists of values look alike.
class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  Hash& add(std::span<const std::uint8_t> value) {
    number(value.size());
    EVP_DigestUpdate(context_.get(), value.data(), value.size());
    return *this;
  }
  Hash& add(std::string_view text) { return add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}); }
  Hash& number(std::uint64_t value) {
    EVP_DigestUpdate(context_.get(), &value, sizeof value);
    return *this;
  }
  Identity finish() {
    Identity digest;
    EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr);
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// What the record of a retired handle has for features: no object's.
Identity retired(std::uint64_t handle) { return Hash().add("retired").number(handle).finish(); }

// Removes the entry of this handle.
template <class Map>
void erase_entry(Map& map, const Identity& identity, std::uint64_t handle) {
  const auto [first, last] = map.equal_range(identity);
  for (auto it = first; it != last; ++it)
    if (it->second == handle) return void(map.erase(it));
}

}  // namespace

std::size_t ObjectDirectory::IdentityHash::operator()(const Identity& identity) const {
  std::size_t hash;
  std::memcpy(&hash, identity.data(), sizeof hash);
  return hash;
}

ObjectDirectory::ObjectDirectory(std::string name, StateDirectory& state) : name_(std::move(name)), state_(state) {
  state_.for_each([&](const StateDirectory::Alias& alias) {
    aliases_.emplace(alias.handle, alias);
    recorded_.emplace(alias.identity, alias.handle);
  });
}

Identity ObjectDirectory::identity_of(const Description& description, std::string_view serial) const {
  Hash hash;
  hash.add(name_).number(description.object_class);
  if (description.proof) return hash.add("content").add(description.content).finish();
  hash.add("first seen").add(serial).number(description.has_key_type).number(description.key_type);
  return hash.add(description.id).add(description.label).add(description.content).add(description.hints).finish();
}

Identity ObjectDirectory::features_of(const Description& description) {
  return Hash().add(description.id).add(description.label).add(description.hints).finish();
}

TokenObject* ObjectDirectory::find(std::uint64_t handle) {
  const auto found = objects_.find(handle);
  return found == objects_.end() ? nullptr : &found->second;
}

std::size_t ObjectDirectory::twins_of(const Identity& identity) const { return handles_.count(identity); }

// The one that is recorded for it; else the first one that neither a living object has nor any record keeps for another.
// Without the second rule an object that took over the label of another would take over its handle as well, if it happened
// to be seen first after a restart.
std::uint64_t ObjectDirectory::free_handle(const Identity& identity, const Identity& features) const {
  const auto [first, last] = recorded_.equal_range(identity);
  for (auto it = first; it != last; ++it)
    if (aliases_.at(it->second).features == features && !objects_.contains(it->second)) return it->second;
  for (std::uint32_t ordinal = 0;; ++ordinal)
    if (const std::uint64_t handle = compute_handle(identity, ordinal);
        !objects_.contains(handle) && !aliases_.contains(handle))
      return handle;
}

TokenObject& ObjectDirectory::add(const Description& description, const Identity& identity, const Identity& features) {
  const std::uint64_t handle = free_handle(identity, features);
  TokenObject& object = objects_[handle];
  object.handle = handle;
  object.identity = identity;
  object.features = features;
  handles_.emplace(identity, handle);
  update(object, description);
  // Twins must be told apart after a restart too, in whatever order they are then seen; and so must an object that did not
  // get the first handle of its identity.
  const auto [begin, end] = handles_.equal_range(identity);
  if (twins_of(identity) > 1)
    for (auto it = begin; it != end; ++it) record(objects_.at(it->second));
  else if (handle != compute_handle(identity, 0)) record(object);
  return object;
}

TokenObject& ObjectDirectory::add_fleeting(const Description& description, const Origin& origin) {
  TokenObject like;
  like.features = features_of(description);
  return add_fleeting(update(like, description), identity_of(description, origin.serial), origin.member);
}

TokenObject& ObjectDirectory::add_fleeting(const TokenObject& like, const Identity& identity, std::uint32_t member) {
  const std::uint64_t handle = random_handle();
  TokenObject& object = objects_[handle] = like;
  object.handle = handle;
  object.identity = identity;
  for (const auto& [number, its] : like.features_there)
    if (number == member) object.features = its;
  object.features_there.clear();
  object.members = std::uint64_t{1} << member;
  object.proven = object.by_content = false;
  object.fleeting = true;
  handles_.emplace(identity, handle);
  return object;
}

std::uint64_t ObjectDirectory::random_handle() const {
  for (;;) {
    std::uint64_t handle = 0;
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&handle), sizeof handle) != 1) std::abort();
    handle &= kSessionObjectBit - 1;
    if (handle != CK_INVALID_HANDLE && !objects_.contains(handle) && !aliases_.contains(handle)) return handle;
  }
}

void ObjectDirectory::make_fleeting(TokenObject& object) {
  object.fleeting = true;
  retire(object.identity);
}

void ObjectDirectory::retire(const Identity& identity) {
  std::vector<std::uint64_t> handles{compute_handle(identity, 0)};
  const auto [first, last] = recorded_.equal_range(identity);
  for (auto it = first; it != last; ++it) handles.push_back(it->second);
  for (const std::uint64_t handle : handles)
    if (const TokenObject* object = find(handle); object == nullptr || object->fleeting) retire(identity, handle);
}

void ObjectDirectory::retire(const Identity& identity, std::uint64_t handle) {
  const StateDirectory::Alias alias{identity, retired(handle), handle};
  if (const auto found = aliases_.find(handle); found != aliases_.end() && found->second.features == alias.features)
    return;
  forget_record(handle);
  aliases_.emplace(handle, alias);
  recorded_.emplace(identity, handle);
  state_.remember(alias);
}

void ObjectDirectory::record(const TokenObject& object) {
  if (object.fleeting) return;
  const StateDirectory::Alias alias{object.identity, object.features, object.handle};
  if (const auto found = aliases_.find(object.handle); found != aliases_.end()) {
    if (found->second.identity == alias.identity && found->second.features == alias.features) return;
    forget_record(object.handle);
  }
  aliases_.emplace(object.handle, alias);
  recorded_.emplace(alias.identity, alias.handle);
  state_.remember(alias);
}

bool ObjectDirectory::forget_record(std::uint64_t handle) {
  const auto found = aliases_.find(handle);
  if (found == aliases_.end()) return false;
  erase_entry(recorded_, found->second.identity, handle);
  aliases_.erase(found);
  return true;
}

void ObjectDirectory::note_features(TokenObject& object, const Identity& features, std::uint32_t member) {
  if (object.has_features(features, member)) return;
  std::erase_if(object.features_there, [&](const auto& each) { return each.first == member; });
  if (features != object.features) object.features_there.emplace_back(member, features);
}

bool ObjectDirectory::looks_like(const TokenObject& object, const Description& description) {
  const std::span label(reinterpret_cast<const std::uint8_t*>(object.label.data()), object.label.size());
  return std::ranges::equal(object.id, description.id) && std::ranges::equal(label, description.label);
}

bool ObjectDirectory::adopt_proof(TokenObject& object, const Description& proven, const Origin& origin) {
  const Identity identity = identity_of(proven, origin.serial);
  if (identity != object.identity) {
    if (object.by_content || handles_.contains(identity)) return false;
    erase_entry(handles_, object.identity, object.handle);
    handles_.emplace(identity, object.handle);
    object.identity = identity;
    object.fleeting = false;
    record(object);
  }
  object.proven = object.by_content = true;
  object.fleeting = false;
  return true;
}

TokenObject& ObjectDirectory::update(TokenObject& object, const Description& description) {
  object.object_class = description.object_class;
  object.is_private = description.is_private;
  object.has_key_type = description.has_key_type;
  object.proven |= description.proof;
  object.by_content |= description.proof;
  object.key_type = description.key_type;
  const bool is_public = description.object_class == CKO_PUBLIC_KEY;
  object.counted =
      description.counted || (description.has_key_type && !is_public && is_stateful_key(description.key_type));
  object.id.assign(description.id.begin(), description.id.end());
  object.label.assign(description.label.begin(), description.label.end());
  return object;
}

void ObjectDirectory::changed(TokenObject& object, const Description& now, std::string_view serial) {
  const Identity identity = identity_of(now, serial);
  const Identity features = features_of(now);
  const bool known_otherwise = identity != object.identity;
  const bool changed_features = features != object.features;
  if (known_otherwise) {
    erase_entry(handles_, object.identity, object.handle);
    handles_.emplace(identity, object.handle);
  }
  object.identity = identity;
  object.features = features;
  object.features_there.clear();
  update(object, now);
  if (twins_of(identity) == 1) object.fleeting = false;
  if (known_otherwise || (changed_features && (twins_of(identity) > 1 || aliases_.contains(object.handle))))
    record(object);
}

void ObjectDirectory::renamed(TokenObject& object, const Description& now) {
  const Identity features = features_of(now);
  const bool changed_features = std::exchange(object.features, features) != features;
  update(object, now);
  if (changed_features && (twins_of(object.identity) > 1 || aliases_.contains(object.handle))) record(object);
}

std::vector<std::uint64_t> ObjectDirectory::handles_of(const Identity& identity) const {
  std::vector<std::uint64_t> handles;
  const auto [first, last] = handles_.equal_range(identity);
  for (auto it = first; it != last; ++it) handles.push_back(it->second);
  return handles;
}

void ObjectDirectory::destroyed(std::uint64_t handle) {
  const auto found = objects_.find(handle);
  if (found == objects_.end()) return;
  const Identity identity = found->second.identity;
  erase_entry(handles_, identity, handle);
  const auto [first, last] = handles_.equal_range(identity);
  const bool is_taken_for_another = !found->second.fleeting && std::any_of(first, last, [&](const auto& entry) {
    return objects_.at(entry.second).fleeting;
  });
  if (is_taken_for_another) {  // one of these may be what is found next of this identity
    objects_.erase(found);
    return retire(identity, handle);
  }
  const auto record = aliases_.find(handle);
  const bool is_retired = record != aliases_.end() && record->second.features == retired(handle);
  if (!is_retired && forget_record(handle)) state_.forget(handle);
  objects_.erase(found);
}

void ObjectDirectory::unseen(std::uint64_t handle, std::uint32_t member) {
  TokenObject* object = find(handle);
  if (object == nullptr) return;
  object->members &= ~(std::uint64_t{1} << member);
  if (object->members == 0 && (object->fleeting || twins_of(object->identity) > 1)) destroyed(handle);
}

void ObjectDirectory::forget_member(std::uint32_t member) {
  for (auto& entry : objects_) entry.second.members &= ~(std::uint64_t{1} << member);
}

std::uint64_t ObjectDirectory::compute_handle(const Identity& identity, std::uint32_t ordinal) const {
  std::uint8_t message[sizeof(Identity) + sizeof ordinal];
  std::memcpy(message, identity.data(), identity.size());
  std::memcpy(message + identity.size(), &ordinal, sizeof ordinal);
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  const HandleKey& key = state_.handle_key();
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message, sizeof message, digest, nullptr);
  std::uint64_t handle;
  std::memcpy(&handle, digest, sizeof handle);
  handle &= kSessionObjectBit - 1;
  return handle == CK_INVALID_HANDLE ? 1 : handle;
}

}  // namespace p11shim
