// shimctl: a toolbox for PKCS#11 modules and for proxyd, or a private proxyd for one command. This file
// reads the command line and turns whatever goes wrong into one line on stderr and a documented exit code.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "tools/shimctl/commands/all.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/global_options.h"
#include "tools/shimctl/invocation.h"
#include "tools/shimctl/output/report.h"
#include "tools/shimctl/output/terminal_text.h"
#include "tools/shimctl/token/call_failure.h"

namespace {

using namespace p11shim;

constexpr char kDefaultControl[] = "/run/p11shim/control.sock";

void set_up(CLI::App& app, Invocation& invocation) {
  app.add_option("--control", invocation.control_path, "Control socket of proxyd")
      ->envname("P11SHIM_CONTROL")
      ->option_text("PATH")
      ->default_str(kDefaultControl);
  add_global_options(app, invocation);
  app.set_help_all_flag("--help-all", "Explain every command");
  app.set_version_flag("--version", "shimctl " P11SHIM_VERSION);
  app.fallthrough();  // options may stand after the command, too
  app.require_subcommand(1);
  app.footer(
      "shimctl COMMAND --help explains a command. Exit codes: 0 ok, 1 negative answer, 2 usage, 3 "
      "configuration,\n"
      "4 proxyd unreachable, 5 token unavailable, 6 authentication or permission, 7 not found or ambiguous,\n"
      "8 PKCS#11 error, 9 partial, 10 deadline, 11 audit tampering.");
}

// Only a command that runs another program takes that program's command line; for others -- ends the options.
void take_command_line(const CLI::App& app, Invocation& invocation, std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  if (end == arguments.end()) return;
  const bool runs = std::any_of(arguments.begin(), end, [&](const std::string& word) {
    const auto commands = app.get_subcommands(
        [&](const CLI::App* command) { return command->get_prefix_command() && command->check_name(word); });
    return !commands.empty();
  });
  if (!runs) return;
  invocation.command_line.assign(end + 1, arguments.end());
  arguments.erase(end, arguments.end());
}

ExitCode parse_and_run(CLI::App& app, Invocation& invocation, std::vector<std::string> arguments) {
  check_command_names(app, arguments);
  take_command_line(app, invocation, arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw Failure(ExitCode::kUsage, error.what(), "shimctl --help");
    app.exit(error, invocation.out, invocation.err);  // help, version
    return ExitCode::kOk;
  }
  // A reader that goes away is an error of a write; programs that we run have the signal as it was.
  const auto* chosen = app.get_subcommands().front();
  if (!chosen->get_prefix_command() || !chosen->get_subcommands().empty()) std::signal(SIGPIPE, SIG_IGN);
  const ExitCode code = invocation.command();
  if (!invocation.out.flush()) {
    throw Failure(ExitCode::kPartial, "not all of the output could be written; whoever reads it went away", "");
  }
  return code;
}

ExitCode report_failure(const Invocation& invocation, const Failure& failure) {
  const bool json = invocation.format == OutputFormat::kJson || invocation.format == OutputFormat::kNdjson;
  if (!json) {
    invocation.err << "shimctl: " << terminal_text(failure.what()) << '\n';
    return failure.code();
  }
  const auto& reason = failure.reason();
  const auto or_null = [](const std::string& text) { return text.empty() ? Value() : Value(text); };
  Value data;
  data.set("exit_code", static_cast<int>(failure.code())).set("what", reason.what).set("why", or_null(reason.why));
  data.set("fix", or_null(reason.fix)).set("explain", or_null(reason.explain));
  invocation.err << json_text(envelope("error", 1, std::move(data))) << '\n';
  return failure.code();
}

}  // namespace

int main(int argc, char** argv) {
  Invocation invocation{.out = std::cout, .err = std::cerr, .control_path = kDefaultControl, .command = {}};
  CLI::App app("A toolbox for PKCS#11 modules and for proxyd, the PKCS#11 proxy.", "shimctl");
  set_up(app, invocation);
  add_all_commands(app, invocation);
  ExitCode code;
  try {
    code = parse_and_run(app, invocation, {argv + 1, argv + argc});
  } catch (const Failure& failure) {
    code = report_failure(invocation, failure);
  } catch (const CallError& error) {
    code = report_failure(invocation, failure_of(error));
  } catch (const std::exception& error) {
    code = report_failure(invocation, Failure(ExitCode::kNegative, error.what(), ""));
  }
  return static_cast<int>(code);
}
