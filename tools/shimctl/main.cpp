// shimctl: asks a running proxyd, or runs one privately. One file per command in commands/; this one reads
// the command line and turns whatever goes wrong into one line on stderr and a documented exit code.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/commands/ping.h"
#include "tools/shimctl/commands/run.h"
#include "tools/shimctl/commands/stats.h"
#include "tools/shimctl/commands/status.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/invocation.h"

namespace {

using namespace p11shim;

constexpr char kDefaultControl[] = "/run/p11shim/control.sock";

// "shimctl: --watch: expected a time (shimctl --help)"
std::string usage_message(const CLI::App* app, const CLI::Error& error) {
  return std::string("shimctl: ") + error.what() + " (" + app->get_name() + " --help)\n";
}

void add_common_options(CLI::App& app, Invocation& invocation) {
  app.add_option("--control", invocation.control_path, "Control socket of proxyd")
      ->envname("P11SHIM_CONTROL")
      ->option_text("PATH")
      ->default_str(kDefaultControl);
  app.add_option("-o,--output", invocation.format, "table or json")
      ->transform(CLI::CheckedTransformer(output_formats()))
      ->option_text("FORMAT");
  app.set_version_flag("--version", "shimctl " P11SHIM_VERSION);
  app.fallthrough();  // both may stand after the command, too
  app.require_subcommand(1);
  app.failure_message(usage_message);
  app.footer(
      "shimctl COMMAND --help explains a command. Exit codes: 0 ok, 1 negative answer, 2 usage, 3 "
      "configuration,\n"
      "4 proxyd unreachable, 6 permission, 7 not found, 10 deadline.");
}

// CLI11 does not say which word is no command.
void check_command_name(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().starts_with('-')) return;
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), arguments.front()) != names.end()) return;
  const std::vector<std::string_view> known(names.begin(), names.end());
  throw Failure(
      ExitCode::kUsage,
      "there is no command " + in_quotes(arguments.front()) + did_you_mean(arguments.front(), known),
      "shimctl --help");
}

ExitCode parse_and_run(CLI::App& app, Invocation& invocation, std::vector<std::string> arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  if (end != arguments.end()) invocation.command_line.assign(end + 1, arguments.end());
  arguments.erase(end, arguments.end());
  check_command_name(app, arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error, invocation.out, invocation.err);
    return code == 0 ? ExitCode::kOk : ExitCode::kUsage;
  }
  if (!invocation.command_line.empty() && !app.got_subcommand("run")) {
    throw Failure(ExitCode::kUsage, "only the command run takes a command line after --", "shimctl --help");
  }
  return invocation.command();
}

}  // namespace

int main(int argc, char** argv) {
  Invocation invocation{.out = std::cout, .err = std::cerr, .control_path = kDefaultControl, .command = {}};
  CLI::App app("Asks and operates proxyd, the PKCS#11 proxy.", "shimctl");
  add_common_options(app, invocation);
  add_ping(app, invocation);
  add_status(app, invocation);
  add_stats(app, invocation);
  add_run(app, invocation);
  ExitCode code;
  try {
    code = parse_and_run(app, invocation, {argv + 1, argv + argc});
  } catch (const Failure& failure) {
    std::cerr << "shimctl: " << failure.what() << '\n';
    code = failure.code();
  } catch (const std::exception& error) {
    std::cerr << "shimctl: " << error.what() << '\n';
    code = ExitCode::kNegative;
  }
  return static_cast<int>(code);
}
