// shimctl key: every verb. Each has its options here and its work in a file of its own or with its like.
#pragma once

#include <CLI/App.hpp>

#include "tools/shimctl/invocation.h"

namespace p11shim {

void add_key_commands(CLI::App& root, Invocation& invocation);
void add_key_transfer_commands(CLI::App& key, Invocation& invocation);  // import, export-pub, wrap, csr, …

}  // namespace p11shim
