// Where a PIN comes from: env:NAME, file:PATH, fd:N or prompt. Never the command line, which every process of
// the machine can read.
#pragma once

#include <string>

#include "tools/shimctl/token/secret.h"

namespace p11shim {

// `option` and `whose` ("user PIN of token \"test\"") are for messages and the prompt. The end of a line does
// not belong to a PIN. Throws Failure: kUsage for a source that cannot be understood, kPermission for one
// that cannot be read or is empty.
Secret read_pin(const std::string& source, const std::string& option, const std::string& whose);

// One that will be set: who types it does so twice.
Secret read_new_pin(const std::string& source, const std::string& option, const std::string& whose);

}  // namespace p11shim
