// key gen and key gen-secret.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct GenerateOptions {
  std::string type;
  std::string label;
  std::string id;
  std::vector<std::string> attributes;
  std::vector<std::string> public_attributes;
  bool allow_duplicate = false;
};
ExitCode generate_key(const Invocation& invocation, const GenerateOptions& options);

}  // namespace p11shim
