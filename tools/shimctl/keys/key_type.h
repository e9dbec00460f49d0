// What kind of key to make: "rsa:3072", "ec:P-256", "ed25519", "x25519", "aes:256", "hmac:256",
// "generic:160", "des3", "chacha20".
#pragma once

#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim {

struct KeyType {
  CK_KEY_TYPE type;
  CK_MECHANISM_TYPE generate;
  bool pair;
  CK_ULONG bits = 0;      // RSA; secret keys
  std::string ec_params;  // DER
  std::string text;       // as it was given
};

// Throws Failure (kUsage).
KeyType parse_key_type(const std::string& text);

// "P-256", "secp256k1", "ed25519", from CKA_EC_PARAMS; hexadecimal if nobody knows it.
std::string curve_name(std::string_view ec_params);
// OpenSSL's number of it; 0: none.
int curve_nid(std::string_view ec_params);

// X25519 and X448: keys that agree on a secret and never sign.
bool agrees_only(std::string_view ec_params);

// "rsa", "ec", "ed25519", "aes": without the size.
std::string key_type_name(CK_KEY_TYPE type);

}  // namespace p11shim
