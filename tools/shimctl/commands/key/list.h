// key list and key find.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct ListOptions {
  std::string object_class;
  std::string type;
};
ExitCode list_keys(const Invocation& invocation, const ListOptions& options);

struct FindOptions {
  std::string label;
  std::string object_class;
  bool similar = false;
};
ExitCode find_keys(const Invocation& invocation, const FindOptions& options);

}  // namespace p11shim
