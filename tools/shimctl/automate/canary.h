// Whether a new key works, before more of its kind are made: it is used, and whoever uses it is asked.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/pkcs11/session.h"

namespace p11shim {

// Signs and verifies, or encrypts and decrypts, with the key of intent["label"]; then runs intent["command"],
// if there is one, with this label as KEY and the one that it is made for as LIVE_KEY. Throws Failure (kNegative).
void check_canary(const Session& session, const nlohmann::json& intent);

// The same of each of intent["keys"]; the command finds all of them in KEYS, one to a line.
void check_stage(const Session& session, const nlohmann::json& intent);

// The key works: what it may do gives results that OpenSSL or its other half accepts. Empty if so, otherwise
// what is wrong. A key that may do nothing of this is not in doubt.
std::string trial_of(const Session& session, CK_OBJECT_HANDLE key);

}  // namespace p11shim
