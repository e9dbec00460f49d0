// Keys whose values the tests know, as templates for C_CreateObject (session objects unless changed with
// Template::with), so that two runs compute the same. They protect nothing.
#pragma once

#include "compare/attributes.h"

namespace p11shim::contract {

using namespace compare;

Template rsa_public(const char* label = "rsa", unsigned bits = 2048);
Template rsa_private(const char* label = "rsa", unsigned bits = 2048);
Template ec_public(const char* label = "ec");
Template ec_private(const char* label = "ec");
Template ed25519_public(const char* label = "ed");
Template ed25519_private(const char* label = "ed");
Template secret(CK_KEY_TYPE type, const Bytes& value, const char* label);
Template aes(unsigned bytes = 16, const char* label = "aes");
Template des3(const char* label = "des3");
Template generic(unsigned bytes = 32, const char* label = "generic");
Template data_object(const char* label = "data", const char* value = "some data");
Template certificate(const char* label = "certificate");
// What every backend keeps on its token: a certificate, and a key.
Template stored(const char* label);
Template stored_privately(const char* label);

Bytes p256_params();
Bytes ed25519_params();
// The public point of somebody else's P-256 key, without a DER envelope.
Bytes peer_point();

}  // namespace p11shim::contract
