// What is tried to prove what a key is that does not show it (docs/decisions/0008): a private key signs, or agrees on a secret with
// the curve's base point, which is its own public point; a secret key makes a check of at least 128 bits from a challenge that only
// proxyd knows.
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
  ByteString point;  // not empty: all that with the secret which the key agrees on with this point
};

// How a check has ended. undecided: the member was in trouble; ask again another time. refused: by a code that may be meant for this
// key or tell of trouble. missing: the member does not know the key, or not yet, or not now.
enum class CheckOutcome : std::uint8_t { proven, unproven, undecided, refused, missing };

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

// Bytes of such a secret.
std::size_t agreed_size(const KeyCheck& check);

// The proof that `result` of `check` is: nothing if it is none. `publics`: the public parts of the same id on the same member.
std::optional<ByteString> proof_of(const UnprovenKey& key, const KeyCheck& check, std::span<const std::uint8_t> result,
                                   std::span<const PublicKey> publics);

}  // namespace p11shim
