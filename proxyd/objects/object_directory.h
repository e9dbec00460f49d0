// The token objects of one pool and the handles that applications know them by.
//
// A handle is a keyed hash of (pool, identity, ordinal), so it is the same after a restart and on every proxyd that has the
// key. The identity is the object's immutable public content where that proves what it is, else the token's serial number
// and the attributes it had when first seen. Label, id and other changeable attributes make up its *features*: they tell
// identical twins apart, and when they change through proxyd the record keeps the old handle.
//
// Objects of one member that nothing proves and that look the same are *fleeting*: each has a random handle, which means it as
// long as the process lives that shows it, and no other object ever. In the next process nobody could say which is which.
//
// Handles are below 2^62, never 0; bit 62 marks session objects, which are never listed here.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "calls/lane_calls.h"
#include "proxyd/objects/state_directory.h"

namespace p11shim {

struct TokenObject {
  std::uint64_t handle = 0;
  Identity identity{};
  Identity features{};
  CK_OBJECT_CLASS object_class = 0;
  bool is_private = false;
  bool has_key_type = false;
  CK_KEY_TYPE key_type = 0;
  std::vector<std::uint8_t> id;
  std::string label;
  std::uint64_t members = 0;                                       // of its pool, as bits: where it was seen
  bool counted = false;                                            // each use of it changes it
  bool proven = false;                                             // its identity is the same on every member
  bool by_content = false;                                         // because its content says so, not our own records
  bool fleeting = false;                                           // nothing tells it from another of its member
  std::uint8_t check = 0;                                          // of a secret key: which one has proven it; 0: none
  std::vector<std::pair<std::uint32_t, Identity>> features_there;  // by member, where they differ from `features`

  [[nodiscard]] const Identity& features_on(std::uint32_t member) const {
    for (const auto& [number, its] : features_there)
      if (number == member) return its;
    return features;
  }
  [[nodiscard]] bool has_features(const Identity& wanted, std::uint32_t member) const {
    return features_on(member) == wanted;
  }
};

// Where a description comes from.
struct Origin {
  std::string_view serial;   // of the token, and what else tells its objects without proof from those of other members
  std::uint32_t member = 0;  // its number in the pool
  bool among_several = false;          // the pool has others: the same proven content there is the same object
  const Identity* known_as = nullptr;  // what an object without proof is all the same: proxyd made it
};

class ObjectDirectory {
 public:
  // `name` is the pool's; `state` may be shared with other pools.
  ObjectDirectory(std::string name, StateDirectory& state);

  // The object that a description is about, made known if it is new. `taken(object)` says that this object is already
  // another one in the worker that described it: then it is a twin.
  template <class Taken>
  TokenObject& identify(const Description& description, const Origin& origin, Taken taken) {
    const Identity identity = identity_from(description, origin);
    const Identity features = features_of(description);
    const bool proven = description.proof || origin.known_as != nullptr;
    TokenObject* known = find_known(identity, features, origin.member, taken);
    if (known == nullptr && origin.among_several && proven)
      known = find_on_others(description, identity, origin.member, taken);
    TokenObject& object = known != nullptr ? update(*known, description) : add(description, identity, features);
    object.members |= std::uint64_t{1} << origin.member;
    object.proven |= proven;
    note_features(object, features, origin.member);
    return object;
  }
  [[nodiscard]] Identity identity_from(const Description& description, const Origin& origin) const {
    return origin.known_as != nullptr ? *origin.known_as : identity_of(description, origin.serial);
  }
  // All that a member's description says beside the identity: objects with the same ones look the same.
  static Identity features_of(const Description& description);
  // A fleeting object that looks like this one, of one member.
  TokenObject& add_fleeting(const Description& description, const Origin& origin);
  TokenObject& add_fleeting(const TokenObject& like, const Identity& identity, std::uint32_t member);
  // A known object has become fleeting; its handle means it until its process ends.
  void make_fleeting(TokenObject& object);
  // No handle that objects of this identity had before is given again.
  void retire(const Identity& identity);
  // A known object of one member was proven to be what `proven` says: it keeps its handle. False: another object is that
  // already, or this one was proven to be something else; then what was described is not this object.
  [[nodiscard]] bool adopt_proof(TokenObject& object, const Description& proven, const Origin& origin);
  // Attributes of a known object were changed through proxyd: it keeps its handle.
  void changed(TokenObject& object, const Description& now, std::string_view serial);
  // The same, of one whose identity does not come from what was changed.
  void renamed(TokenObject& object, const Description& now);
  void destroyed(std::uint64_t handle);

  // A member does not show it any more. A twin that no member shows is forgotten.
  void unseen(std::uint64_t handle, std::uint32_t member);
  // A member has left the pool.
  void forget_member(std::uint32_t member);
  // Living objects of this identity.
  [[nodiscard]] std::vector<std::uint64_t> handles_of(const Identity& identity) const;

  [[nodiscard]] TokenObject* find(std::uint64_t handle);
  template <class Fn>
  void for_each(Fn fn) const {
    for (const auto& entry : objects_) fn(entry.second);
  }
  [[nodiscard]] std::size_t size() const { return objects_.size(); }

 private:
  struct IdentityHash {
    std::size_t operator()(const Identity& identity) const;
  };
  Identity identity_of(const Description& description, std::string_view serial) const;
  template <class Taken>
  TokenObject* find_known(const Identity& identity, const Identity& features, std::uint32_t member, Taken taken) {
    TokenObject* known = nullptr;
    const auto [first, last] = handles_.equal_range(identity);
    for (auto it = first; it != last; ++it) {
      TokenObject* object = find(it->second);
      if (object == nullptr || object->fleeting || !object->has_features(features, member) || taken(*object)) continue;
      if ((object->members & ~(std::uint64_t{1} << member)) != 0) return object;  // rather what others have too
      if (known == nullptr) known = object;
    }
    return known;
  }
  // The same object as seen on another member: of twins, the one with the same id and label first. Or on this member before
  // its worker was started anew, if it looks the same: members differ in what else they say of it.
  template <class Taken>
  TokenObject* find_on_others(const Description& description, const Identity& identity, std::uint32_t member,
                              Taken taken) {
    TokenObject* best = nullptr;
    int best_rank = 0;
    const auto [first, last] = handles_.equal_range(identity);
    for (auto it = first; it != last; ++it) {
      TokenObject* object = find(it->second);
      if (object == nullptr || object->fleeting || taken(*object)) continue;
      const bool seen_here = (object->members >> member & 1) != 0;
      const int rank = (seen_here ? 0 : 2) + (looks_like(*object, description) ? 1 : 0);
      if (rank == 0 || rank < best_rank || (rank == best_rank && object->handle > best->handle)) continue;
      best = object;
      best_rank = rank;
    }
    return best;
  }
  static void note_features(TokenObject& object, const Identity& features, std::uint32_t member);
  static bool looks_like(const TokenObject& object, const Description& description);
  std::uint64_t free_handle(const Identity& identity, const Identity& features) const;
  std::size_t twins_of(const Identity& identity) const;
  TokenObject& add(const Description& description, const Identity& identity, const Identity& features);
  void record(const TokenObject& object);
  void retire(const Identity& identity, std::uint64_t handle);
  std::uint64_t random_handle() const;
  bool forget_record(std::uint64_t handle);  // false: there is none
  TokenObject& update(TokenObject& object, const Description& description);
  std::uint64_t compute_handle(const Identity& identity, std::uint32_t ordinal) const;

  const std::string name_;
  StateDirectory& state_;
  std::unordered_map<std::uint64_t, TokenObject> objects_;                   // by handle
  std::unordered_multimap<Identity, std::uint64_t, IdentityHash> handles_;   // by identity, living objects
  std::unordered_map<std::uint64_t, StateDirectory::Alias> aliases_;         // by handle, as recorded
  std::unordered_multimap<Identity, std::uint64_t, IdentityHash> recorded_;  // the same by identity
};

}  // namespace p11shim
