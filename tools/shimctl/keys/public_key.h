// The public half of a key as the rest of the world has it: a SubjectPublicKeyInfo.
#pragma once

#include <memory>
#include <string>

#include "tools/pkcs11/object_attributes.h"
#include "tools/pkcs11/session.h"

typedef struct evp_pkey_st EVP_PKEY;

namespace p11shim {

struct FreePublicKey {
  void operator()(EVP_PKEY* key) const;
};
using PublicKey = std::unique_ptr<EVP_PKEY, FreePublicKey>;

// The attributes that public_key_of() looks at.
std::span<const CK_ATTRIBUTE_TYPE> public_key_attributes();

// Null if they do not say it (an EC private key does not know its public half).
PublicKey public_key_of(const ObjectAttributes& attributes);

// Of a public or private key, with the help of its other half on the token; null if that is not there.
PublicKey public_key_of(const Session& session, CK_OBJECT_HANDLE key);

std::string spki_of(const PublicKey& key);      // DER
std::string sha256_of(std::string_view bytes);  // 32 bytes
std::string pem_of(std::string_view label, std::string_view der);

}  // namespace p11shim
