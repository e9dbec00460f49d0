// One object of a bundle: written down from a token, put on one again.
//
//   {"class", "label", "id", "spki_sha256", "check_value", "attributes": {"0x00000003": "…", …}, "wrapped"}
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tools/shimctl/automate/backup.h"

namespace p11shim {

// With "why" if it cannot leave the token, or could not be put back as restricted as it is.
nlohmann::json object_entry(const Session& session, const BackupKek& kek, CK_OBJECT_HANDLE object);

// Puts it on the token (or into the session alone) and proves it: its fingerprint, its check value, its restrictions,
// a trial of a private key. Throws Failure (kNegative), CallError. `loss` says what only a security officer can give it.
CK_OBJECT_HANDLE restore_object(const Session& session, const BackupKek& kek, const nlohmann::json& object,
                                bool to_token, std::string* loss = nullptr);

CK_OBJECT_CLASS class_of(const nlohmann::json& object);
bool is_secret_class(CK_OBJECT_CLASS object_class);
Template template_of(const nlohmann::json& attributes, bool to_token);

// Of a key with a public half that is known, in hexadecimal digits; otherwise empty.
std::string fingerprint(const Session& session, CK_OBJECT_HANDLE object);

}  // namespace p11shim
