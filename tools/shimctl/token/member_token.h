// The real token behind a member of the running proxyd, reached by its module in this process and not through
// proxyd: to compare what members have. The module is loaded with the environment that shimctl has.
#pragma once

#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

// `name` is "pool/member", or "member" if that is one alone. Throws Failure: kUnreachable (no proxyd),
// kNotFound.
TokenChoice member_token(const Invocation& invocation, const std::string& name);

// The one that stands behind the token `label` of proxyd. Throws Failure also if several do.
TokenChoice member_token_behind(const Invocation& invocation, const std::string& label);

}  // namespace p11shim
