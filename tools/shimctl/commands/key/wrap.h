// key wrap, unwrap and rewrap.
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct WrapOptions {
  std::string key;   // that is wrapped
  std::string with;  // that wraps; rewrap: that wrapped
  std::string to;    // rewrap: that will wrap
  std::string mechanism;
  std::string to_mechanism;
  std::string hash = "sha256";  // of OAEP
  std::string type;             // of what is unwrapped
  std::string label;
  std::string id;
  std::vector<std::string> attributes;
  std::string in;
  std::string out;
  bool allow_duplicate = false;
};
ExitCode wrap_key(const Invocation& invocation, const WrapOptions& options);
ExitCode unwrap_key(const Invocation& invocation, const WrapOptions& options);
ExitCode rewrap_key(const Invocation& invocation, const WrapOptions& options);

}  // namespace p11shim
