#include "tools/shimctl/commands/info/info_commands.h"

#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/info/slots.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

void add_info_commands(CLI::App& root, Invocation& invocation) {
  add_command(root, invocation, "info", "Show what the module says of itself", &show_info);
  auto& slot = add_noun(root, "slot", "Slots of a module");
  add_command(slot, invocation, "list", "List the slots and the tokens in them", &list_slots);
  auto& token = add_noun(root, "token", "Tokens of a module");
  add_command(token, invocation, "list", "List the tokens", &list_tokens);
  add_command(token, invocation, "info", "Show one token", &show_token);
}

}  // namespace p11shim
