// What is tried to prove what a key is that does not show it (docs/decisions/0008): a private key signs, a secret key makes a
// check of at least 128 bits from a challenge that only proxyd knows.
#pragma once

#include <optional>
#include <vector>

#include "proxyd/objects/public_key.h"
#include "proxyd/objects/state_directory.h"

namespace p11shim {

// One way: an Init by this mechanism, then the call on `input`.
struct KeyCheck {
  bool signs = true;  // else encrypts
  CK_MECHANISM_TYPE mechanism = 0;
  ByteString parameter;
  ByteString input;
};

// An object without proof, as it was described; owns its bytes.
struct UnprovenKey {
  explicit UnprovenKey(const Description& description);
  // The description with this content as its proof.
  [[nodiscard]] Description described(const ByteString* proof) const;

  Description plain;
  ByteString id, label, content, hints;
};

// Whether a check may prove this object to be what others are. Keys that are used up by use are none.
bool may_be_proven(const Description& description);

// In the order in which they are tried; the first that the module performs decides.
std::vector<KeyCheck> checks_for(const UnprovenKey& key, const HandleKey& secret);

// The proof that `result` of `check` is: nothing if it is none. `publics`: the public parts of the same id on the same member.
std::optional<ByteString> proof_of(const UnprovenKey& key, const KeyCheck& check, std::span<const std::uint8_t> result,
                                   std::span<const PublicKey> publics);

}  // namespace p11shim
