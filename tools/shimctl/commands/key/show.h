// key show and key diff.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ShowOptions {
  std::string key;
  std::string object_class;
};
ExitCode show_key(const Invocation& invocation, const ShowOptions& options);

struct DiffOptions {
  std::string left;
  std::string right;
  std::string object_class;
  TokenChoice right_token;
  std::string member;  // of the running proxyd, where the other is
};
ExitCode diff_keys(const Invocation& invocation, const DiffOptions& options);

}  // namespace p11shim
