#include "tools/shimctl/commands/explain/explain_commands.h"

#include <CLI/CLI.hpp>
#include <map>

#include "tools/shimctl/commands/explain/explain_error.h"
#include "tools/shimctl/commands/explain/explain_names.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

const std::map<std::string, Live> kLives{{"auto", Live::kIfThere}, {"no", Live::kNever}, {"yes", Live::kAlways}};

void add_explain_error(CLI::App& parent, Invocation& invocation, const char* name) {
  const auto command =
      add_command(parent, invocation, name, "What a return code means, why it comes, what to do", &explain_error);
  command.app
      ->add_option("code", command.options->codes,
                   "0xa0, 160, CKR_PIN_INCORRECT, pin_incorrect, a line of a log; - or none: one on standard input")
      ->option_text("CODE…");
  command.app
      ->add_option("--context", command.options->context,
                   "Causes in one context only: " + std::string("sign, login, …"))
      ->option_text("CONTEXT");
  command.app->add_option("--profile", command.options->profiles, "A vendor's codes, as TOML")
      ->option_text("FILE")
      ->take_all();
  takes_one_of(
      command.app->add_option("--live", command.options->live, "Counts of the running proxyd: auto, yes or no"), kLives)
      ->option_text("WHEN");
  command.app->add_flag("--list", command.options->list, "All codes, one line for each");
}

void add_explain_name(CLI::App& parent, Invocation& invocation, const char* name, const char* description,
                      ExitCode (*run)(const Invocation&, const ExplainNameOptions&)) {
  const auto command = add_command(parent, invocation, name, description, run);
  command.app->add_option("name", command.options->name, "With or without its prefix, or a number; none: all")
      ->option_text("NAME");
}

}  // namespace

void add_explain_commands(CLI::App& root, Invocation& invocation) {
  add_explain_error(root, invocation, "explain-error");
  auto& explain = add_noun(root, "explain", "What something of PKCS#11 is");
  add_explain_error(explain, invocation, "error");
  add_explain_name(explain, invocation, "mech", "A mechanism", &explain_mechanism);
  add_explain_name(explain, invocation, "attr", "An attribute", &explain_attribute);
  add_explain_name(explain, invocation, "fn", "A function", &explain_function);
  add_explain_name(explain, invocation, "check", "A check of doctor or audit keys", &explain_check);
}

}  // namespace p11shim
