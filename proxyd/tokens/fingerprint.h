// What a session key will be known as once it is a token object (Pool::proven_identity), found out before it is one: by its
// public part, or by the checks that a survey makes. Owns itself and always calls back.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "proxyd/objects/key_check.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class Pool;

class Fingerprint final : public std::enable_shared_from_this<Fingerprint> {
 public:
  // Empty and known: nothing proves such a key. Not known: its member was in trouble.
  struct Result {
    bool known = false;
    std::optional<Identity> identity;
  };
  using Done = std::function<void(const Result&)>;

  // Of the key that `described` is about, in the process of that generation. `content` of its public key, if that is known.
  static void take(Pool& pool, Place& place, const Description& described, std::span<const std::uint8_t> content,
                   std::uint64_t generation, Done done);
  Fingerprint(Pool& pool, Place& place, const Description& described, std::uint64_t generation, Done done)
      : pool_(pool), place_(place), key_(described), generation_(generation), done_(std::move(done)) {}

 private:
  void read_public_part();
  void check();
  void conclude(const ByteString* proof);

  Pool& pool_;
  Place& place_;
  UnprovenKey key_;
  const std::uint64_t generation_;
  int repeats_ = 0;
  Done done_;
};

}  // namespace p11shim
