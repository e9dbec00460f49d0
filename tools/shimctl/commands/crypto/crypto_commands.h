// shimctl sign, verify, encrypt, decrypt, hash, hmac, cmac, random, derive.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_crypto_commands(CLI::App& root, Invocation& invocation);

}  // namespace p11shim
