// sign, verify, hmac and cmac.
#pragma once

#include <optional>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct SignOptions {
  std::string key;
  std::string hash = "sha256";
  std::string padding = "pkcs1";
  std::optional<unsigned long> salt_length;
  std::string format = "der";
  std::string in;
  std::string out;
  std::string signature;  // verify: its file
  bool hash_on_token = false;
};
ExitCode sign_data(const Invocation& invocation, const SignOptions& options);
ExitCode verify_data(const Invocation& invocation, const SignOptions& options);
ExitCode compute_hmac(const Invocation& invocation, const SignOptions& options);
ExitCode compute_cmac(const Invocation& invocation, const SignOptions& options);

}  // namespace p11shim
