#include "tools/shimctl/global_options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/commands/option_text.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

const std::map<std::string, ProgressMode> kProgressModes{
    {"auto", ProgressMode::kAuto}, {"none", ProgressMode::kNone}, {"json", ProgressMode::kJson}};

void add_token_options(CLI::App& app, TokenChoice& choice) {
  constexpr char kGroup[] = "Token";
  app.add_option("--module", choice.module, "PKCS#11 library; without it, the shim and the running proxyd")
      ->option_text("PATH")
      ->group(kGroup);
  app.add_option("--library-parameters", choice.library_parameters, "What an NSS module wants in C_Initialize")
      ->option_text("TEXT")
      ->group(kGroup);
  app.add_option("--token", choice.token, "The token with this label")->option_text("LABEL")->group(kGroup);
  takes_a_count(app.add_option("--slot", choice.slot, "The token in this slot"))->option_text("NUMBER")->group(kGroup);
  app.add_option("--uri", choice.uri, "Token and object as pkcs11:token=…;object=…")->option_text("URI")->group(kGroup);
  app.add_option("--pin-from", choice.pin_from, "The user's PIN: env:NAME, file:PATH, fd:N or prompt")
      ->option_text("SOURCE")
      ->group(kGroup);
  app.add_option("--so-pin-from", choice.so_pin_from, "The security officer's PIN, likewise")
      ->option_text("SOURCE")
      ->group(kGroup);
}

const CLI::App* child(const CLI::App& app, const std::string& name) {
  for (const auto* command : app.get_subcommands({})) {
    if (command->check_name(name)) return command;
  }
  return nullptr;
}

// How many words after `word`, an option, belong to it.
std::size_t values_after(const CLI::App* app, const std::string& word) {
  if (word.find('=') != std::string::npos) return 0;
  for (; app != nullptr; app = app->get_parent()) {
    if (const auto* option = app->get_option_no_throw(word)) return option->get_items_expected_max() > 0 ? 1 : 0;
  }
  return 0;
}

}  // namespace

void add_global_options(CLI::App& app, Invocation& invocation) {
  add_token_options(app, invocation.token);
  constexpr char kGroup[] = "Output";
  takes_one_of(app.add_option("-o,--output", invocation.format, "table, json, ndjson, yaml, csv or plain"),
               output_formats())
      ->option_text("FORMAT")
      ->group(kGroup);
  takes_a_count(app.add_option("--limit", invocation.limit, "At most so many rows"))
      ->option_text("ROWS")
      ->group(kGroup);
  app.add_option("--cursor", invocation.cursor, "Go on where a page of --limit ended: its \"next\"")
      ->option_text("NEXT")
      ->group(kGroup);
  takes_one_of(app.add_option("--progress", invocation.progress, "auto, none or json, on stderr"), kProgressModes)
      ->option_text("MODE")
      ->group(kGroup);
  // A script's "$p11 --token other" means the other.
  for (auto* option : app.get_options()) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_flag("-n,--dry-run", invocation.dry_run, "Say what would be done; change nothing");
  app.add_flag("-y,--yes", invocation.yes, "Do not ask before something is destroyed");
}

void check_command_names(const CLI::App& root, const std::vector<std::string>& arguments) {
  const CLI::App* app = &root;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") return;
    if (word.size() > 1 && word[0] == '-') {
      if (word == "-h" || word.starts_with("--help")) return;
      i += values_after(app, word);
      continue;
    }
    const auto commands = app->get_subcommands({});
    if (commands.empty() || app->get_prefix_command()) return;
    if (const auto* found = child(*app, word)) {
      app = found;
      continue;
    }
    if (app != &root && app->get_require_subcommand_min() == 0) return;
    std::vector<std::string> names;
    for (const auto* command : commands) names.push_back(command->get_name());
    const std::vector<std::string_view> known(names.begin(), names.end());
    const std::string noun = app == &root ? "" : app->get_name() + " ";
    throw Failure(ExitCode::kUsage, "there is no command " + noun + in_quotes(word) + did_you_mean(word, known),
                  "shimctl " + noun + "--help");
  }
}

}  // namespace p11shim
