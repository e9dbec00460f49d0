// A secret divided among people: any `threshold` of them can put it together again, fewer know nothing of it
// (Shamir's scheme, by libgfshare).
#pragma once

#include <string>
#include <vector>

#include "tools/shimctl/token/secret.h"

namespace p11shim {

struct Custodians {
  unsigned threshold = 0;
  unsigned shares = 0;

  // "2-of-3". Throws Failure (kUsage).
  static Custodians parse(const std::string& text);
};

// One text per custodian. `bundle` is what they are for.
std::vector<Secret> divide_secret(const Secret& secret, const Custodians& custodians, const std::string& bundle);

// Throws Failure: shares of another bundle, too few, the same twice, one that was mistyped.
Secret join_secret(const std::vector<Secret>& shares, const std::string& bundle);

}  // namespace p11shim
