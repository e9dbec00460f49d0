// encrypt and decrypt.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct CipherOptions {
  std::string key;
  std::string mode;  // gcm, cbc, ctr, chacha20-poly1305; oaep, pkcs1
  std::string hash = "sha256";
  std::string iv;   // hexadecimal; nothing: random, in front of the ciphertext
  std::string aad;  // hexadecimal
  std::string in;
  std::string out;
};
ExitCode encrypt_data(const Invocation& invocation, const CipherOptions& options);
ExitCode decrypt_data(const Invocation& invocation, const CipherOptions& options);

}  // namespace p11shim
