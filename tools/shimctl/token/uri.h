// RFC 7512: "pkcs11:token=test;object=k;type=private?pin-source=env:PIN".
#pragma once

#include <optional>
#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct TokenUri {
  std::string token;
  std::string serial;
  std::string manufacturer;
  std::string model;
  std::string object;
  std::string id;    // bytes
  std::string type;  // public, private, cert, secret-key, data
  std::optional<unsigned long> slot;
  std::string module_path;
  std::string pin_source;  // as --pin-from wants it
};

// Throws Failure (kUsage): not a URI of this kind, an attribute that nobody knows, or a pin-value.
TokenUri parse_token_uri(const std::string& text);

// Whether nothing that the URI says of a token speaks against this one.
bool names_token(const TokenUri& uri, CK_SLOT_ID slot, const CK_TOKEN_INFO& info);

}  // namespace p11shim
