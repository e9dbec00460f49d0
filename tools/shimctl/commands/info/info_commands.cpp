#include "tools/shimctl/commands/info/info_commands.h"

#include <CLI/CLI.hpp>

#include "tools/shimctl/commands/info/mechanisms.h"
#include "tools/shimctl/commands/info/selftest.h"
#include "tools/shimctl/commands/info/slots.h"
#include "tools/shimctl/commands/info/token_admin.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

void add_new_pin(CLI::App& app, TokenAdminOptions& options) {
  app.add_option("--new-pin-from", options.new_pin_from, "The new PIN: env:NAME, file:PATH, fd:N or prompt")
      ->required()
      ->option_text("SOURCE");
}

void add_token_admin(CLI::App& token, Invocation& invocation) {
  const auto init = add_command(token, invocation, "init", "Initialise a token that is not", &initialize_token);
  init.app->add_option("--label", init.options->label, "The new token's")->required()->option_text("LABEL");
  init.app->footer("Example:\n  shimctl --so-pin-from prompt token init --label test");

  const auto wipe = add_command(token, invocation, "wipe", "Destroy all that is on a token", &wipe_token);
  wipe.app->add_option("--label", wipe.options->label, "Its new label")->option_text("LABEL");
  wipe.app->footer(
      "Asks for the token's label to be typed, unless --yes is given.\n\nExample:\n  shimctl --token test "
      "--so-pin-from prompt token wipe");

  const auto init_pin =
      add_command(token, invocation, "init-pin", "Set the user's PIN, as security officer", &initialize_pin);
  add_new_pin(*init_pin.app, *init_pin.options);

  const auto set_pin = add_command(token, invocation, "set-pin", "Change a PIN", &change_pin);
  add_new_pin(*set_pin.app, *set_pin.options);
  set_pin.app->add_flag("--so", set_pin.options->so, "The security officer's, not the user's");
}

}  // namespace

void add_info_commands(CLI::App& root, Invocation& invocation) {
  add_command(root, invocation, "info", "Show what the module says of itself", &show_info);

  auto& slot = add_noun(root, "slot", "Slots of a module");
  slot.alias("slots");
  add_command(slot, invocation, "list", "List the slots and the tokens in them", &list_slots).app->alias("ls");

  auto& token = add_noun(root, "token", "Tokens of a module");
  token.alias("tokens");
  add_command(token, invocation, "list", "List the tokens", &list_tokens).app->alias("ls");
  add_command(token, invocation, "info", "Show one token", &show_token).app->alias("show");
  add_token_admin(token, invocation);
  const auto selftest = add_command(token, invocation, "selftest", "Try what the token can do", &test_token);
  selftest.app->add_option("--threads", selftest.options->threads, "At the same time")->capture_default_str();

  auto& mechanism = add_noun(root, "mech", "Mechanisms of a token");
  mechanism.alias("mechanism");
  const auto list = add_command(mechanism, invocation, "list", "List the mechanisms of a token", &list_mechanisms);
  list.app->alias("ls");
  list.app->add_option("filter", list.options->filter, "Part of their names");
  list.app->add_flag("--detailed", list.options->detailed, "Key sizes and flags, too");
  list.app
      ->add_option("--diff", list.options->other.token,
                   "Compare with another token, or with a member of proxyd by its own module")
      ->option_text("LABEL");
}

}  // namespace p11shim
