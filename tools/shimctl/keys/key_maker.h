// Makes a key of any type, with what key_templates.h says it may do, and changes to that.
#pragma once

#include "tools/pkcs11/session.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

struct MadeKey {
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;  // private or secret
  CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
};

// Throws CallError.
MadeKey make_key(const Session& session, const KeyType& type, const KeyNames& names, const Template& changes,
                 const Template& public_changes);

// The type as this token makes it: SoftHSM, which has no mechanism for X25519 and X448, makes them with the one for Ed25519.
KeyType as_the_token_makes(const Session& session, KeyType type);

}  // namespace p11shim
