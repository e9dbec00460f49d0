#include "proxyd/objects/object_directory.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <memory>

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

}  // namespace

std::size_t ObjectDirectory::IdentityHash::operator()(const Identity& identity) const {
  std::size_t hash;
  std::memcpy(&hash, identity.data(), sizeof hash);
  return hash;
}

ObjectDirectory::ObjectDirectory(std::string name, StateDirectory& state) : name_(std::move(name)), state_(state) {
  state_.for_each([&](const StateDirectory::Alias& alias) { aliases_.emplace(alias.identity, alias); });
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

TokenObject* ObjectDirectory::find_known(const Identity& identity, const Identity& features) {
  const auto [first, last] = handles_.equal_range(identity);
  for (auto it = first; it != last; ++it)
    if (TokenObject* object = find(it->second); object != nullptr && object->features == features) return object;
  return nullptr;
}

TokenObject* ObjectDirectory::find_ordinal(const Identity& identity, std::uint32_t ordinal) {
  return find(compute_handle(identity, ordinal));
}

std::size_t ObjectDirectory::twins_of(const Identity& identity) const { return handles_.count(identity); }

TokenObject& ObjectDirectory::add(const Description& description, const Identity& identity, const Identity& features,
                                  std::uint32_t ordinal) {
  std::uint64_t handle = compute_handle(identity, ordinal);
  const auto [first, last] = aliases_.equal_range(identity);
  bool recorded = false;
  for (auto it = first; it != last; ++it)
    if (it->second.features == features && find(it->second.handle) == nullptr) {
      handle = it->second.handle;
      recorded = true;
    }
  TokenObject& object = objects_[handle];
  object.handle = handle;
  object.identity = identity;
  object.features = features;
  handles_.emplace(identity, handle);
  update(object, description);
  // Twins must be told apart after a restart too, in whatever order they are then seen.
  if (!recorded && twins_of(identity) > 1) {
    const auto [begin, end] = handles_.equal_range(identity);
    for (auto it = begin; it != end; ++it) {
      const TokenObject& twin = objects_.at(it->second);
      const StateDirectory::Alias alias{identity, twin.features, twin.handle};
      state_.remember(alias);
      aliases_.emplace(identity, alias);
    }
  }
  return object;
}

TokenObject& ObjectDirectory::update(TokenObject& object, const Description& description) {
  object.object_class = description.object_class;
  object.is_private = description.is_private;
  object.has_key_type = description.has_key_type;
  object.key_type = description.key_type;
  object.id.assign(description.id.begin(), description.id.end());
  object.label.assign(description.label.begin(), description.label.end());
  return object;
}

void ObjectDirectory::changed(TokenObject& object, const Description& now, std::string_view serial) {
  const Identity identity = identity_of(now, serial);
  const Identity features = features_of(now);
  const bool twin = twins_of(object.identity) > 1;
  if (identity != object.identity) {
    const auto [first, last] = handles_.equal_range(object.identity);
    for (auto it = first; it != last; ++it)
      if (it->second == object.handle) {
        handles_.erase(it);
        break;
      }
    handles_.emplace(identity, object.handle);
  }
  if (identity != object.identity || (twin && features != object.features)) {
    const StateDirectory::Alias alias{identity, features, object.handle};
    state_.remember(alias);
    aliases_.emplace(identity, alias);
  }
  object.identity = identity;
  object.features = features;
  update(object, now);
}

void ObjectDirectory::destroyed(std::uint64_t handle) {
  const auto found = objects_.find(handle);
  if (found == objects_.end()) return;
  const auto [first, last] = handles_.equal_range(found->second.identity);
  for (auto it = first; it != last; ++it)
    if (it->second == handle) {
      handles_.erase(it);
      break;
    }
  if (std::erase_if(aliases_, [&](const auto& entry) { return entry.second.handle == handle; }) != 0) state_.forget(handle);
  objects_.erase(found);
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
