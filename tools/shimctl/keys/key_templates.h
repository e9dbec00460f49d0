// What a new key may do, unless its maker says otherwise: private halves and secrets stay on the token, and
// each kind of key may do what it is for.
#pragma once

#include <string>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

struct KeyNames {
  std::string label;
  std::string id;  // bytes
  bool token = true;
};

Template private_key_template(const KeyNames& names, CK_KEY_TYPE type);
Template public_key_template(const KeyNames& names, CK_KEY_TYPE type);
Template secret_key_template(const KeyNames& names, CK_KEY_TYPE type);

// `id` as it was given, or 8 random bytes. Throws Failure (kUsage).
std::string id_or_random(const std::string& id);

// Throws Failure (kNotFound) if a key with that label is there already: it would be ambiguous from then on.
void refuse_duplicate(const Session& session, const std::string& label);

// Throws Failure (kPkcs11) naming what the token has instead, of those that are for the same `use` (CKF_SIGN,
// …).
void require_mechanism(const Session& session, CK_MECHANISM_TYPE mechanism, CK_FLAGS use, const std::string& what_for);

}  // namespace p11shim
