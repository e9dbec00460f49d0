// hash, random and derive.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct HashOptions {
  std::string hash = "sha256";
  std::string in;
  std::string out;
};
ExitCode hash_data(const Invocation& invocation, const HashOptions& options);

struct RandomOptions {
  std::uint64_t bytes = 32;
  std::string out;
};
ExitCode make_random(const Invocation& invocation, const RandomOptions& options);

struct DeriveOptions {
  std::string key;
  std::string peer;  // file of the other's public key
  std::string type = "generic:256";
  std::string label;
  std::string id;
  std::vector<std::string> attributes;
  std::string out;  // the secret itself, instead of a key on the token
  bool allow_duplicate = false;
};
ExitCode derive_key(const Invocation& invocation, const DeriveOptions& options);

}  // namespace p11shim
