// One key encrypted with another: "aes-kwp", "aes-kw", "rsa-oaep", "rsa-pkcs".
#pragma once

#include <string>

#include "tools/pkcs11/session.h"

namespace p11shim {

// The mechanism with its parameter, which it points to: it stays where it was made.
struct WrapMechanism {
  CK_RSA_PKCS_OAEP_PARAMS oaep{};
  CK_MECHANISM mechanism{};
};

// By its name, or the default for `key`. Throws Failure if there is none of this name or the token lacks it.
void choose_wrapping(WrapMechanism& chosen, const Session& session, CK_OBJECT_HANDLE key, const std::string& name,
                     const std::string& hash);

// Both throw CallError.
std::string wrap_object(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE key);
CK_OBJECT_HANDLE unwrap_object(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with, std::string wrapped,
                               Template attributes);

}  // namespace p11shim
